# nightshift's worker. Debian, not Alpine: Temporal's native bridge needs glibc.
FROM node:20.19.5-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json tsconfig.json ./
COPY setup setup
COPY src src
RUN node setup/main.mjs build && npm prune --omit=dev --no-audit --no-fund

FROM node:20.19.5-bookworm-slim
# ssh-keygen signs and checks receipts and approvals.
RUN apt-get update && apt-get install --yes --no-install-recommends openssh-client && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY bin bin
COPY schemas schemas
ENV NODE_ENV=production TZ=UTC NIGHTSHIFT_STATE=/state
RUN mkdir /state && chown node:node /state
VOLUME /state
USER node
ENTRYPOINT ["node", "bin/nightshift.js"]
CMD ["up", "--config", "/config", "--metrics-address", "127.0.0.1:9464"]
