# Builds with the development dependencies; the final image contains neither them nor the sources.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY server server
COPY tiling tiling
COPY model model
COPY loadtest loadtest
COPY bench bench
COPY test test
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:22-bookworm-slim AS runtime
# For the slide formats that are read through OpenSlide.
RUN apt-get update && apt-get install -y --no-install-recommends libopenslide0 && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production UNSEAM_HOST=0.0.0.0 UNSEAM_PORT=8080 UNSEAM_DATA=/data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist/server dist/server
COPY --from=build /app/dist/tiling dist/tiling
COPY --from=build /app/dist/model dist/model
COPY server/web/static server/web/static
COPY models models
RUN mkdir /data && chown node /data
USER node
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.UNSEAM_PORT + '/readyz').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/server/bin.js"]
CMD ["serve"]

# For NVIDIA's GPUs: docker build --target cuda. See docs/gpu.md. The driver is the machine's.
FROM runtime AS cuda
USER root
ENV UNSEAM_CACHE_DIR=/opt/unseam NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip \
  && node dist/server/bin.js setup cuda \
  && chown node /opt/unseam \
  && apt-get purge -y --auto-remove python3-pip && rm -rf /var/lib/apt/lists/*
USER node

# What is built without a target: the last stage, which needs nothing of the one before.
FROM runtime
