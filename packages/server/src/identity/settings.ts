/**
 * Which providers people may sign in through: said by the environment alone, because every user of a machine reads the
 * flags of its processes, and secrets are among these.
 */

/** How a provider knows this server. */
export interface ProviderConfig {
  readonly clientId: string
  readonly clientSecret: string
  /** GitHub's own address, or that of a GitHub of one's own; or the issuer, to the letter. */
  readonly url: string
}

/** The providers that are configured: one of them at least. */
export interface ProvidersConfig {
  readonly github?: ProviderConfig
  readonly oidc?: ProviderConfig
}

type Env = Readonly<Record<string, string | undefined>>

/** Variables and what they say, for `--help` and the documentation. */
export const providerVariables: readonly (readonly [name: string, help: string])[] = [
  ['GITHUB_CLIENT_ID', 'the id of an OAuth app at GitHub: people may sign in with GitHub'],
  ['GITHUB_CLIENT_SECRET', 'its secret'],
  ['GITHUB_URL', 'a GitHub Enterprise Server, default https://github.com'],
  ['OIDC_ISSUER', 'an OpenID provider, to the letter as it writes itself'],
  ['OIDC_CLIENT_ID', 'the id that it gave this server'],
  ['OIDC_CLIENT_SECRET', 'the secret that it gave this server'],
]

/** The providers that `env` names; `undefined` where there are none. What is wrong is added to `problems`, no secret among it. */
export function readProviders(env: Env, problems: string[]): ProvidersConfig | undefined {
  const github = provider(env, 'GITHUB', ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET'], problems)
  const oidc = provider(env, 'OIDC', ['OIDC_ISSUER', 'OIDC_CLIENT_ID', 'OIDC_CLIENT_SECRET'], problems)
  for (const name of ['GITHUB_URL', 'OIDC_ISSUER']) {
    const wrong = env[name] ? wrongUrl(env[name]) : undefined
    if (wrong) problems.push(`${name}: ${wrong}`)
  }
  if (github === undefined && oidc === undefined) return undefined
  return {
    ...(github && { github: { ...github, url: env.GITHUB_URL || 'https://github.com' } }),
    ...(oidc && { oidc: { ...oidc, url: env.OIDC_ISSUER! } }),
  }
}

/** What keeps these providers from working with the rest of the configuration. */
export function providerProblems(config: {
  readonly providers?: ProvidersConfig | undefined
  readonly origin: string | undefined
  readonly strategy: string
}): string[] {
  if (config.providers === undefined) return []
  const problems: string[] = []
  if (config.origin === undefined) {
    problems.push(
      'SOJOURN_ORIGIN: is not set, and providers send people back to nowhere else; write the origin that browsers see, such as https://shop.example or http://localhost:3000',
    )
  }
  if (config.strategy === 'jwt') {
    problems.push(
      "SOJOURN_STRATEGY: whoever holds a jwt session can read it, so a provider's tokens have no place in it; write opaque or sealed, or drop the provider's variables",
    )
  }
  return problems
}

function provider(
  env: Env,
  prefix: string,
  needed: readonly string[],
  problems: string[],
): Pick<ProviderConfig, 'clientId' | 'clientSecret'> | undefined {
  const missing = needed.filter((name) => !env[name])
  if (missing.length === needed.length) return undefined
  for (const name of missing) {
    problems.push(
      `${name}: is not set, and ${needed.filter((other) => env[other]).join(', ')} needs it; set all or none`,
    )
  }
  if (missing.length > 0) return undefined
  return { clientId: env[`${prefix}_CLIENT_ID`]!, clientSecret: env[`${prefix}_CLIENT_SECRET`]! }
}

/** Not repeated: people put secrets into URLs. */
function wrongUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) return 'is not a URL; write https:// and the host'
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return 'holds a user, a query or a fragment; write https:// and the host'
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && local)) return undefined
  return 'is not HTTPS, so anybody on the way could sign in as anybody; write https://'
}
