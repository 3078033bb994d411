#!/usr/bin/env node
/** The `sojourn` command. */
import { Command } from 'commander'
import { type Config, readConfig, settings } from './config.js'
import { migrateEngines } from './engines/connect.js'
import { providerVariables } from './identity/settings.js'
import { addKey } from './keys-file.js'
import { createLog } from './log.js'
import { move } from './move.js'
import { progressOn } from './move-progress.js'
import { start } from './server.js'

type Flags = Partial<Record<keyof Config, string | true>>

/** Milliseconds that `migrate` waits for a database. */
const WAIT = 30_000

const program = new Command('sojourn')
  .description('Accounts, devices and carts, kept with Sojourn: as pages for people and as a JSON API for programs.')
  .showHelpAfterError()

const serve = program.command('serve').description('start the server, and stop it when asked to (SIGTERM, SIGINT)')
addSettings(
  serve,
  settings.map(({ key }) => key),
).action(async (flags: Flags) => {
  const config = check(() => readConfig(flags))
  const log = createLog()
  // Whatever nobody foresaw is written down before it ends the process.
  process.on('uncaughtExceptionMonitor', (error) => log.fatal({ event: 'sys_crash', err: error }))
  const server = await start(config, { log }).catch((error: unknown) => fail(error))
  let asked: number | undefined
  const stop = async (signal: string) => {
    if (asked !== undefined) {
      // Asked twice, a person means at once. Within a second it is npm, passing on what the terminal has sent already.
      if (performance.now() - asked > 1000) process.exit(1)
      return
    }
    asked = performance.now()
    log.info({ event: 'sys_stopping', signal })
    await server.close()
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal))
})

serve.addHelpText(
  'after',
  `\nSet by the environment alone, as others can read a command line:\n${providerVariables.map(([name, help]) => `  ${name.padEnd(22)}${help}`).join('\n')}`,
)

const keys = program.command('keys').description('the keys that sign sessions')
addSettings(keys.command('new'), ['data'])
  .description('add a key that signs from the next start on; sessions signed by the older ones stay valid')
  .action((flags: Flags) => {
    const { data, keys } = check(() => readConfig(flags))
    if (keys)
      fail('SOJOURN_KEYS is set: put a new secret before the others in it (`openssl rand -base64 32` makes one)')
    check(() => addKey(data, Date.now()))
    process.stdout.write('A new key was added. Restart the server to sign with it.\n')
  })

addSettings(program.command('migrate'), ['store', 'accounts', 'data'])
  .description('make the tables of sessions and accounts, or bring them up to date; the server may run meanwhile')
  .action(async (flags: Flags) => {
    const config = check(() => readConfig(flags))
    const context = { data: config.data, clock: Date.now }
    const done = await migrateEngines(config, context, { wait: WAIT }).catch((error: unknown) => fail(error))
    process.stdout.write(`${done.join('\n')}\n`)
  })

const moveCommand = program.command('move')
moveCommand
  .option('--from <place>', 'where sessions live until now (SOJOURN_STORE_FROM)')
  .option('--to <place>', 'where they are to live (SOJOURN_STORE)')
  .option('--dry-run', 'say what would be moved, and write nothing')
addSettings(moveCommand, ['data', 'migrate'])
  .description('move live sessions to another database, while servers with SOJOURN_STORE_FROM serve from both')
  .action(async ({ from, to, dryRun, ...rest }: Flags & { from?: string; to?: string; dryRun?: true }) => {
    const flags = { ...rest, ...(from && { storeFrom: from }), ...(to && { store: to }) }
    const config = check(() => readConfig(flags))
    const stop = new AbortController()
    const stopped = 'Broken off. Nothing is lost: what has moved has moved, and another `sojourn move` goes on.'
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort(new Error(stopped)))
    const options = { wait: WAIT, dryRun: dryRun ?? false, progress: progressOn(process.stderr), signal: stop.signal }
    const done = await move(config, options).catch((error: unknown) => fail(error, 'sojourn did not finish the move'))
    process.stdout.write(`${done.join('\n')}\n`)
    process.exit(0)
  })

await program.parseAsync()

function addSettings(command: Command, names: readonly (keyof Config)[]): Command {
  for (const { key, flag, env, fallback, help } of settings) {
    if (!names.includes(key) || flag === undefined) continue
    const from = fallback === undefined ? env : `${env}, default ${fallback}`
    command.option(flag, `${help} (${from})`)
  }
  return command
}

/** Runs what can fail for reasons that the person at the terminal can change. */
function check<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    return fail(error)
  }
}

function fail(error: unknown, what = 'sojourn cannot start'): never {
  const text = error instanceof Error ? error.message : String(error)
  process.stderr.write(`${what}:\n${text.replace(/^/gm, '  ')}\n`)
  process.exit(1)
}
