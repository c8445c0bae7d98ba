"""The hands: commands carried out, journalled and undone under the rules. They ask the eyes through ``sight``."""
