"""The eyes: what is in the roots, told in order. They read the photo tree and write nothing. (S6)"""
