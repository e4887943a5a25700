# Two images from one source: `server` without torch, `learner` with it.
#   docker build --target server --tag clipwise-server .
#   docker build --target learner --tag clipwise-learner .
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS wheel
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:${PYTHON} AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CLIPWISE_VAR=/var/lib/clipwise
RUN useradd --system --uid 10001 --home-dir /var/lib/clipwise --create-home clipwise
WORKDIR /var/lib/clipwise
VOLUME /var/lib/clipwise
ENTRYPOINT ["clipwise"]

FROM base AS server
RUN --mount=type=bind,source=deploy/server.txt,target=/tmp/server.txt \
    --mount=type=bind,source=constraints.txt,target=/tmp/constraints.txt \
    --mount=type=bind,from=wheel,source=/wheel,target=/tmp/wheel \
    python -m pip install --no-cache-dir --constraint /tmp/constraints.txt --requirement /tmp/server.txt \
    && python -m pip install --no-cache-dir --no-deps /tmp/wheel/*.whl
USER clipwise
EXPOSE 8000
CMD ["serve", "--host", "0.0.0.0", "--workers", "2"]

FROM base AS learner
# Procgen draws with Qt, which links to these.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
# Where torch comes from, if not from the usual registry: the index of its CPU builds, for one.
ARG TORCH_INDEX=""
RUN --mount=type=bind,source=constraints.txt,target=/tmp/constraints.txt \
    --mount=type=bind,from=wheel,source=/wheel,target=/tmp/wheel \
    python -m pip install --no-cache-dir --constraint /tmp/constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && python -m pip install --no-cache-dir --constraint /tmp/constraints.txt "$(echo /tmp/wheel/*.whl)[postgres,s3]"
USER clipwise
CMD ["work"]
