/** `npm start`: from a fresh clone to a running server. Arguments and environment go through to `sojourn serve`. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, checkNode, install, root } from './setup.mjs'

checkNode()
install()
build()

// The server runs in this very process, so that signals reach it once and its exit code is ours.
const cli = join(root, 'packages', 'server', 'dist', 'cli.js')
process.argv = [process.execPath, cli, 'serve', ...process.argv.slice(2)]
await import(pathToFileURL(cli).href)
