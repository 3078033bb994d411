/** What can be set, by a flag or by the environment, and what a bad value is told. One table for the command and the check. */
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { keysOf } from './given-keys.js'
import { type ProvidersConfig, providerProblems, readProviders } from './identity/settings.js'
import { accountsPlace, type PathPlace, type Place, type ServerPlace, storePlace } from './place.js'

/** A checked configuration. */
export interface Config {
  /** 0 takes any free port. */
  readonly port: number
  readonly host: string
  /** The public origin; absent where the server is reached directly. */
  readonly origin: string | undefined
  /** Speak HTTPS itself, with a certificate that it makes: for a machine of one's own. */
  readonly https: boolean
  /** Absolute path of the data folder. */
  readonly data: string
  /** Origins whose pages may call the API with tokens; absent where there are none. */
  readonly allowedOrigins: readonly string[] | undefined
  /** Where sessions live. */
  readonly store: Place
  /** Where sessions lived before, while they move; absent otherwise. */
  readonly storeFrom: Place | undefined
  /** Where accounts and carts live; absent: with the sessions if those are in a database, else in the data folder. */
  readonly accounts: PathPlace | ServerPlace | undefined
  /** What signs and seals sessions; absent: the keys of the data folder. */
  readonly keys: readonly string[] | undefined
  /** Make the tables before the start, or bring them up to date. */
  readonly migrate: boolean
  /** Where the metrics are served; absent: nowhere. */
  readonly metrics: Address | undefined
  /** How a session becomes a credential. */
  readonly strategy: 'opaque' | 'sealed' | 'jwt'
  /** How many proxies of ours a request passes. */
  readonly trustProxy: number
  /** The shortest new password, in code points. */
  readonly passwordMin: number
  /** Whom people may sign in through; from the environment alone, absent where there is nobody. */
  readonly providers?: ProvidersConfig
}

/** Where to listen. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** One setting: where its value comes from, and what it must be. */
export interface Setting<K extends keyof Config = keyof Config> {
  readonly key: K
  /** Absent where a command line, which others on the machine can read, is no place for it. */
  readonly flag: string | undefined
  readonly env: string
  /** As it would be written; absent where there is none. */
  readonly fallback?: string
  /** Its value may hold a secret, so that no message repeats it. */
  readonly secret?: true
  /** For `--help`. */
  readonly help: string
  /** Throws a `TypeError` that says what is wrong with the text and what to write instead. */
  readonly parse: (text: string) => Config[K]
}

/** All settings, in the order in which `--help` shows them. */
export const settings: readonly Setting[] = [
  setting('port', '--port <number>', 'PORT', '3000', 'port to listen on; 0 takes a free one', (text) =>
    whole(text, 0, 65_535),
  ),
  setting('host', '--host <address>', 'HOST', '127.0.0.1', 'address to listen on; 0.0.0.0 is every interface', host),
  setting(
    'origin',
    '--origin <url>',
    'SOJOURN_ORIGIN',
    undefined,
    'public origin, such as https://shop.example',
    origin,
  ),
  setting(
    'allowedOrigins',
    '--allowed-origins <urls>',
    'SOJOURN_ALLOWED_ORIGINS',
    undefined,
    'other origins whose pages may call the API, with commas between',
    (text) => [...new Set(text.split(',').map((part) => origin(part.trim())))],
  ),
  setting('https', '--https', 'SOJOURN_HTTPS', 'false', 'speak HTTPS, with a certificate of its own making', yes),
  setting('data', '--data <folder>', 'SOJOURN_DATA', './data', 'folder for accounts, sessions and keys', (text) =>
    resolve(text),
  ),
  secret(
    'store',
    '--store <place>',
    'SOJOURN_STORE',
    'sqlite:',
    'where sessions live: sqlite:, memory:, file:, redis://…, postgres://…, mongodb://…',
    storePlace,
  ),
  secret(
    'storeFrom',
    '--store-from <place>',
    'SOJOURN_STORE_FROM',
    undefined,
    'while sessions move: where they live until now',
    storePlace,
  ),
  secret(
    'accounts',
    '--accounts <place>',
    'SOJOURN_ACCOUNTS',
    undefined,
    'where accounts live: sqlite:, postgres://…, mongodb://…; default: with the sessions where those are in a database',
    accountsPlace,
  ),
  secret('keys', undefined, 'SOJOURN_KEYS', undefined, 'secrets that sign sessions, or file: and a path', keysOf),
  setting('migrate', '--migrate', 'SOJOURN_MIGRATE', 'false', 'make the tables first, or bring them up to date', yes),
  setting(
    'metrics',
    '--metrics <address>',
    'SOJOURN_METRICS',
    undefined,
    'port, or address and port, that serves /metrics to Prometheus',
    address,
  ),
  setting(
    'strategy',
    '--strategy <kind>',
    'SOJOURN_STRATEGY',
    'opaque',
    'how sessions are kept: opaque in the store, sealed or jwt in the cookie',
    strategy,
  ),
  setting(
    'trustProxy',
    '--trust-proxy <hops>',
    'SOJOURN_TRUST_PROXY',
    '0',
    'how many of your proxies a request passes',
    (text) => whole(text, 0, 10),
  ),
  setting(
    'passwordMin',
    '--password-min <characters>',
    'SOJOURN_PASSWORD_MIN',
    '15',
    'shortest new password; 8 at least',
    (text) => whole(text, 8, 64),
  ),
]

/**
 * The configuration: flags first, then the environment, then the defaults. Throws one `TypeError` that names everything
 * that is wrong. Costs nothing and touches no file.
 */
export function readConfig(
  flags: Partial<Record<keyof Config, string | true>> = {},
  env: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const config: Partial<Record<keyof Config, unknown>> = {}
  const problems: string[] = []
  for (const { key, flag, env: variable, fallback, secret, parse } of settings) {
    const given = flags[key]?.toString()
    // An empty variable is how many tools spell "not set".
    const text = given ?? (env[variable] || fallback)
    try {
      config[key] = text === undefined ? undefined : parse(text)
    } catch (error) {
      const from = given === undefined ? variable : flag!.split(' ')[0]
      const said = secret ? 'what it says' : JSON.stringify(text)
      problems.push(`${from}: ${said} ${(error as Error).message}`)
    }
  }
  const providers = readProviders(env, problems)
  const checked = { ...config, ...(providers && { providers }) } as unknown as Config
  problems.push(...providerProblems(checked))
  if (problems.length > 0) throw new TypeError(problems.join('\n'))
  return checked
}

function setting<K extends keyof Config>(
  key: K,
  flag: string | undefined,
  env: string,
  fallback: string | undefined,
  help: string,
  parse: (text: string) => Config[K],
): Setting {
  return { key, flag, env, help, parse, ...(fallback === undefined ? {} : { fallback }) }
}

function secret<K extends keyof Config>(...parts: Parameters<typeof setting<K>>): Setting {
  return { ...setting(...parts), secret: true }
}

function whole(text: string, from: number, to: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < from || value > to) {
    throw new TypeError(`is not a whole number from ${from} to ${to}; give one, or drop it for the default`)
  }
  return value
}

function host(text: string): string {
  if (isIP(text) === 0 && !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text)) {
    throw new TypeError(
      'is neither an address nor a host name; write 127.0.0.1 for this machine or 0.0.0.0 for all interfaces',
    )
  }
  return text
}

function origin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.origin !== text.toLowerCase() || text.includes('*')) {
    throw new TypeError(
      'is not an origin; write scheme and host, and the port if it is unusual, without a slash at the end',
    )
  }
  const local = url.hostname === 'localhost' || url.hostname === '127.0.0.1' || url.hostname === '[::1]'
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && local)) {
    throw new TypeError(
      'is not HTTPS, so anybody on the way could take the sessions; put HTTPS before the server and write https://',
    )
  }
  return url.origin
}

function strategy(text: string): Config['strategy'] {
  if (text !== 'opaque' && text !== 'sealed' && text !== 'jwt') {
    throw new TypeError('is no strategy; write opaque, sealed or jwt')
  }
  return text
}

function yes(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new TypeError('is neither true nor false; write one of them')
  return text === 'true'
}

function address(text: string): Address {
  const [, before = '127.0.0.1', port = ''] = /^(?:(.+):)?(\d+)$/.exec(text) ?? []
  return { host: host(before.replace(/^\[(.*)\]$/, '$1')), port: whole(port, 0, 65_535) }
}
