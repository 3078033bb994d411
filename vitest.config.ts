import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    // Children, not threads: tests start servers, send signals and change the environment.
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // Node loads our own packages as it does for a user, from `dist` and untransformed.
    server: { deps: { external: [/\/dist\//] } },
  },
})
