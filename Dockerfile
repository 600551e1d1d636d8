# syntax=docker/dockerfile:1
# Pin the base by digest where you build: --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/image.lock requirements/build.lock requirements/
RUN python -m venv /opt/digest \
    && /opt/digest/bin/python -m pip install --require-hashes --no-deps -r requirements/image.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --require-hashes --no-deps -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY digest digest
COPY templates templates
COPY config config
RUN /opt/build/bin/python -m hatchling build -t wheel -d /wheel \
    && /opt/digest/bin/python -m pip install --no-deps --no-index /wheel/*.whl \
    && /opt/digest/bin/python -m compileall -q /opt/digest

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 digest \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin digest \
    && install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/digest /opt/digest
ENV PATH=/opt/digest/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
# Healthy while every digest of the folder had success lately; a free day counts, so call it on every day.
HEALTHCHECK --interval=15m --timeout=30s --start-period=26h \
    CMD digest --quiet history /etc/digest --max-age 26h || exit 1
ENTRYPOINT ["digest"]
CMD ["--help"]
