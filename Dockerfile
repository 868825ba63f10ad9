# The server's image; docs/containers.md says how to run it. Both bases can be those of another registry.
ARG NODE_IMAGE=node:22-bookworm-slim
ARG DEBIAN_IMAGE=debian:bookworm-slim

# Compiles, and lays down in /unseam/package what `npm publish` would: the list of files is that of package.json.
FROM ${NODE_IMAGE} AS build
WORKDIR /unseam
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build && tar -xzf "$(npm pack --silent)" && chmod +x package/dist/server/bin.js
# The list of contents is made without development dependencies: `npm sbom --omit=dev` leaves out what both need.
# Some versions of npm install sharp for WebAssembly beside the one for this platform.
RUN npm prune --omit=dev --no-audit --no-fund \
  && rm -rf node_modules/@img/sharp-wasm32 node_modules/@emnapi \
  && npm pkg delete devDependencies \
  && npm sbom --sbom-format=cyclonedx > package/sbom.cdx.json
# Packages stay whole as far as the list of contents goes; what the server never loads is most of their size:
# ONNX Runtime for other platforms (250 MB), TensorFlow.js in forms for browsers (70 MB), maps and types (15 MB).
WORKDIR /unseam/node_modules
RUN find onnxruntime-node/bin/napi-v6 -mindepth 2 -maxdepth 2 -not -path "*/linux/$(node -p process.arch)" -exec rm -r {} + \
  && find @tensorflow/*/dist -type f -not -name 'tf-*.node.js' -delete \
  && find . -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.[cm]ts' \) -delete \
  && find . -type d -empty -delete

# Node alone, without npm: an image that installs nothing.
FROM ${DEBIAN_IMAGE} AS runtime
# For the slide formats that are read through OpenSlide. tini reaps the processes of a worker that was killed, which Node
# does not, and delivers a second SIGTERM, which Linux withholds from the first process of a container.
RUN apt-get update \
  && apt-get install -y --no-install-recommends libopenslide0 libstdc++6 tini \
  && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
# A number, for clusters that must know that it is not root (runAsNonRoot); and its group is 0, for those that choose
# another number.
RUN useradd --uid 1000 --gid 0 --home-dir /data --no-create-home --shell /usr/sbin/nologin unseam \
  && install -d -o 1000 -g 0 -m 2770 /data
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=build /unseam/node_modules node_modules
COPY --from=build /unseam/package ./
RUN ln -s /app/dist/server/bin.js /usr/local/bin/unseam
ENV NODE_ENV=production UNSEAM_HOST=0.0.0.0 UNSEAM_PORT=8080 UNSEAM_DATA=/data UNSEAM_CACHE_DIR=/data/cache
USER 1000:0
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["unseam", "health"]
ENTRYPOINT ["tini", "-s", "--", "unseam"]
CMD ["serve"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="unseam" \
  org.opencontainers.image.description="Segmentation server for microscopy" \
  org.opencontainers.image.version="0.1.0" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.licenses="MIT"

# For NVIDIA's GPUs: docker build --target cuda. See docs/gpu.md. The driver is the machine's.
FROM runtime AS cuda
USER root
ENV UNSEAM_CACHE_DIR=/opt/unseam NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN apt-get update \
  && apt-get install -y --no-install-recommends python3-pip \
  && unseam setup cuda \
  && chown 1000:0 /opt/unseam \
  && apt-get purge -y --auto-remove python3-pip \
  && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /root/.cache
USER 1000:0

# What is built without a target: the last stage, which needs nothing of the one before.
FROM runtime
