/** Puts together what signs people in through providers, from the configuration: the library's parts, and our accounts. */
import type { Key, Sessions, UserStore } from 'sojourn'
import { requireRecentLogin } from 'sojourn/guard/access'
import { type LogoutReceiver, logoutReceiver } from 'sojourn/identity/logout'
import { github, type OAuth, oauth, oidc, type ProviderSettings } from 'sojourn/identity/oauth'
import { type Vault, vault } from 'sojourn/identity/vault'
import type { Accounts } from '../accounts.js'
import type { Config } from '../config.js'
import type { Table } from '../engines/engine.js'
import type { Logger } from '../log.js'
import type { Merge } from '../operations/cart.js'
import type { Passwords } from '../password.js'
import type { ShopData } from '../services.js'
import type { Throttle } from '../throttle.js'
import { connectionOperations } from './connections.js'
import type { Identities } from './identities.js'
import { repositoriesOf } from './repositories.js'
import type { IdentityServices } from './services.js'
import { type ProvidersConfig, providerProblems } from './settings.js'
import { signInOperations } from './sign-in.js'

/** What identity is made of. */
export interface IdentityParts {
  readonly config: Pick<Config, 'origin' | 'strategy' | 'passwordMin' | 'providers'>
  readonly sessions: Sessions<ShopData>
  readonly keys: Key[]
  /** The vault's own. */
  readonly vaultKeys: () => Key[]
  /** A store for what is under way, for who signed in by whom, and for tokens that are not in the session. */
  readonly open: (table: Table) => UserStore
  readonly accounts: Accounts
  readonly identities: Identities
  readonly passwords: Passwords
  readonly throttle: Throttle
  readonly merge: Merge
  readonly log: Logger
  readonly clock: () => number
}

/** The library's parts, ready, and whom they are for. */
export interface IdentityTools {
  readonly signIn: OAuth
  readonly tokens: Vault<ShopData>
  readonly receiver: LogoutReceiver
  readonly providers: readonly ConfiguredProvider[]
}

/** A provider that is configured. */
export interface ConfiguredProvider {
  readonly name: 'github' | 'oidc'
  readonly label: string
  readonly issuer: string
}

/** How long ago somebody must have signed in to change how they sign in, milliseconds; that of the library for links. */
const RECENT = 600_000

/** Services that must be closed. */
export interface OpenIdentity extends IdentityServices {
  close(): Promise<void>
}

/** Signing in through the configured providers; `undefined` where there are none. Throws a `TypeError` for what cannot work. */
export function createIdentity(parts: IdentityParts): OpenIdentity | undefined {
  const { config, sessions, keys, open, clock } = parts
  if (config.providers === undefined) return undefined
  const problems = providerProblems(config)
  if (problems.length > 0) throw new TypeError(problems.join('\n'))

  const settings = settingsOf(config.providers)
  // The library speaks to them by 'oauth4webapi', which it takes from whoever installs it: here that is this package.
  const store = open('sojourn_identity')
  const signIn = oauth({ keys, origin: config.origin!, providers: settings, store, clock })
  // Where a session is in the client's hands its tokens are there too; only what a renewal brought is handed over here.
  const place = config.strategy === 'opaque' ? { store } : { handover: store }
  const tokens = vault({ sessions, keys: parts.vaultKeys(), providers: signIn, ...place })
  const receiver = logoutReceiver({ sessions, store, oauth: signIn })
  const providers = Object.entries(settings).map(([name, { issuer }]) => ({
    name: name as 'github' | 'oidc',
    label: name === 'github' ? 'GitHub' : new URL(issuer).host,
    issuer,
  }))
  const tools: IdentityTools = { signIn, tokens, receiver, providers }
  const recent = requireRecentLogin(sessions, { within: RECENT, signIn: '/confirm' })
  const home = settings.github?.issuer
  return {
    providers,
    hasGithub: home !== undefined,
    unlessRecent: (request) => recent.fetch(request),
    ...signInOperations(parts, tools),
    ...connectionOperations(parts, tools),
    repositories: repositoriesOf(tokens, home ?? ''),
    signedOutThere: receiver.handler,
    async close() {
      await receiver.settled()
      receiver.close()
      await store.close?.()
    },
  }
}

function settingsOf({
  github: hub,
  oidc: provider,
}: ProvidersConfig): Partial<Record<'github' | 'oidc', ProviderSettings>> & Record<string, ProviderSettings> {
  return {
    ...(hub && { github: github(hub) }),
    ...(provider && { oidc: oidc({ ...provider, issuer: provider.url, scope: ['openid', 'profile'] }) }),
  }
}
