# photosift's image: everything it needs in one virtual environment, nothing that built it, no root.
# BASE may be any image with Python 3.11 or newer as python3.
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
COPY deploy/requirements.txt ./
RUN python3 -m venv /opt/photosift \
 && /opt/photosift/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY services services
COPY shared shared
RUN /opt/photosift/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/photosift/bin/pip uninstall --yes setuptools pip

FROM ${BASE}
COPY --from=build /opt/photosift /opt/photosift
# as /tmp is: whoever the container runs as (PUID) makes its own part below
RUN install -d -m 1777 /state
ENV PATH=/opt/photosift/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PHOTOSIFT_STATE_DIR=/state
USER 1000:1000
ENTRYPOINT ["photosift"]
CMD ["run"]
