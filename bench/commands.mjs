/** What Redis was asked, as `INFO commandstats` counts it. */
import { engines } from './engines.mjs'

/** What the counting itself sends. */
const OURS = ['config', 'info']

/** Runs `work` and gives what it gives, and how often each command was received meanwhile, by name. */
export async function counted(work) {
  const { client } = engines.get('redis')
  await client.config('RESETSTAT')
  const result = await work()
  const lines = (await client.info('commandstats')).matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)
  const commands = Object.fromEntries([...lines].map(([, name, calls]) => [name, Number(calls)]))
  for (const name of Object.keys(commands)) if (OURS.includes(name.split('|')[0])) delete commands[name]
  return { result, commands }
}

/**
 * Throws unless so many reads of unchanged sessions were so many GETs, and nothing else was sent: no sliding write is
 * due so soon after the login.
 */
export function onePerRead(commands, reads) {
  const { get = 0, ...others } = commands
  if (get === reads && Object.keys(others).length === 0) return
  throw new Error(`${reads} reads of unchanged sessions were ${JSON.stringify(commands)} to Redis`)
}
