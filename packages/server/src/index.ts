/** The ready-made server, for programs that start it themselves; the `sojourn` command does the same. */
export { type Config, readConfig } from './config.js'
export { type Running, type StartOptions, start } from './server.js'
