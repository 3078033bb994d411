/** `npm start`: from a fresh clone to a running server. Arguments and environment go through to `sojourn serve`. */
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { OTHER, otherNode } from './other-node.mjs'
import { build, checkNode, install, root, say, stop } from './setup.mjs'

checkNode()
install()
build()
if (hasSqlite()) {
  // The server runs in this very process, so that signals reach it once and its exit code is ours.
  const cli = join(root, 'packages', 'server', 'dist', 'cli.js')
  process.argv = [process.execPath, cli, 'serve', ...process.argv.slice(2)]
  await import(pathToFileURL(cli).href)
} else startOnOtherNode()

/** Node brings SQLite from 22.13 on; before that it is a package, which some machines can neither download nor build. */
function hasSqlite() {
  if (process.getBuiltinModule?.('node:sqlite')) return true
  try {
    const Database = createRequire(join(root, 'package.json'))('better-sqlite3')
    new Database(':memory:').close()
    return true
  } catch {
    return false
  }
}

function startOnOtherNode() {
  say(
    `This Node has no SQLite, and better-sqlite3 could not be built; fetching Node ${OTHER} from npm, which brings it`,
  )
  const node = otherNode()
  if (!node) stop('Node 24 could not be fetched. Install Node 22.13 or newer, or what node-gyp needs (C++, Python).')
  const server = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  // A terminal sends Ctrl-C to the whole group: the server has it already.
  process.on('SIGINT', () => process.stdin.isTTY || server.kill('SIGINT'))
  process.on('SIGTERM', () => server.kill('SIGTERM'))
  server.on('exit', (code) => process.exit(code ?? 1))
}
