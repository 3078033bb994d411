/** The house rules that a program can hold: who imports whom, how long files are, what never stands in the code. */
import { basename, dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { files, hits, imports, json, lines, packageOf, read, target } from './tree.js'

const LIBRARY = 'packages/sojourn/src'
const CODE = /\.(ts|tsx|mts|mjs|js)$/

const library = files(LIBRARY, CODE)
const server = files('packages/server/src', CODE)
const source = [...library, ...server]

/** Whom the files of a folder may import, as paths below the library's `src`; `/` at the end means the whole folder. */
const LAW: Record<string, readonly string[]> = {
  crypto: ['types', 'crypto/'],
  ledger: ['types', 'awaitable', 'patience', 'errors', 'crypto/', 'ledger/', 'token/revocation'],
  http: ['types', 'errors', 'awaitable', 'http/'],
  strategy: ['types', 'awaitable', 'patience', 'errors', 'keys', 'crypto/', 'ledger/', 'token/'],
  token: [
    'types',
    'awaitable',
    'patience',
    'errors',
    'events',
    'timeouts',
    'proof',
    'keys',
    'crypto/',
    'ledger/',
    'token/',
    'guard/csrf',
    'transport/cookie',
    'http/',
  ],
  transport: ['types', 'awaitable', 'cookies', 'cookie-chunks', 'plain-http'],
  // The browser's half: one door, and nothing of the server's behind it.
  client: ['types', 'client/'],
  // A store over another one is synchronous or not, as that one is; text is made harmless for engines in one way.
  store: ['types', 'awaitable', 'escape'],
  guard: ['types', 'awaitable', 'errors', 'challenge', 'own-path', 'proof'],
  identity: ['types', 'awaitable', 'patience', 'errors', 'events', 'keys', 'own-path', 'crypto/', 'http/'],
  adapter: ['types', 'errors', 'awaitable', 'sessions', 'http/'],
  testing: [
    ...['types', 'testing/clock', 'testing/store-trial'],
    // The suite of adapters makes sessions, as an app does.
    ...['index', 'store/memory', 'testing/adapter-trial', 'testing/adapter-client'],
  ],
}

/** Folders that no subpath leads to: what the exported ones are made of. */
const INTERNAL = ['crypto', 'http', 'ledger']
/** Folders with one door. */
const ONE_DOOR = ['client']

/**
 * Those that build on others: Express's request is Node's, the refresh token of the endpoints travels in a cookie, a
 * ticket stands for a session, access is judged by one, and a vault keeps for one what a sign-in brought.
 */
const BUILDS_ON: Record<string, readonly string[]> = {
  'adapter/express': ['adapter/node'],
  // What came before is not decoded again, as a credential is not verified again.
  'store/redis': ['crypto/recent'],
  'store/file': ['crypto/recent'],
  'guard/access': ['sessions', 'session'],
  // Counts are kept in memory unless a store is given, as sessions are.
  'identity/throttle': ['store/memory'],
  // What it reads elsewhere it writes down as the codec would.
  'strategy/legacy': ['codec'],
  'token/endpoints': ['guard/csrf', 'transport/cookie'],
  // A sign-in that is under way is in a cookie, that it came back is marked in a store; a logout is a token's word; the
  // proof that is asked of a provider is what a session's can be.
  'identity/oauth': ['store/memory', 'proof'],
  'identity/oauth-transaction': ['cookies'],
  'identity/oauth-complete': ['identity/oauth', 'proof'],
  'identity/logout': ['sessions', 'token/jws', 'token/remote-jwks', 'token/request'],
  'identity/logout-token': ['token/json', 'token/jws'],
  'identity/vault': ['sessions', 'session', 'visit', 'changes', 'identity/oauth-tokens', 'store/memory'],
  'token/ticket': ['sessions', 'session', 'visit', 'own-path', 'challenge'],
}

const below = (file: string): string => file.slice(LIBRARY.length + 1).replace(CODE, '')
const folders = [...new Set(library.map((file) => dirname(below(file))).filter((folder) => folder !== '.'))]

function allowed(from: string, to: string): boolean {
  const law = LAW[dirname(from)]
  if (law === undefined) return true
  // What a variation is made of is part of it: it may do what that may, and its parts may import each other.
  const whole = from.replace(/-[^/]*$/, '')
  if (BUILDS_ON[from]?.includes(to) || BUILDS_ON[whole]?.includes(to)) return true
  if (to.startsWith(`${whole}-`)) return true
  return law.some((entry) => (entry.endsWith('/') ? to.startsWith(entry) : to === entry))
}

describe('who imports whom', () => {
  test('there is a library to look at', () => {
    expect(library.length).toBeGreaterThan(20)
    expect(library.flatMap(imports).length).toBeGreaterThan(50)
  })

  test('every folder has a law', () => {
    expect(folders.toSorted()).toEqual(Object.keys(LAW).toSorted())
  })

  test('variations import what the law allows, and never their siblings', () => {
    const broken = library.flatMap((file) =>
      imports(file)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => below(target(file, specifier)))
        .filter((to) => !allowed(below(file), to))
        .map((to) => `${below(file)} imports ${to}`),
    )
    expect(broken).toEqual([])
  })

  test('the spine builds on the defaults alone; the front door shows the rest', () => {
    const spine = library.filter((file) => !below(file).includes('/') && below(file) !== 'index')
    const chosen = spine
      .flatMap(imports)
      .filter((path) => /^\.\/(strategy|transport|store|adapter|token|testing)\//.test(path))
    const defaults = ['./store/memory.js', './strategy/opaque.js', './transport/cookie.js']
    const joined = ['./strategy/several.js', './transport/several.js']
    expect(chosen.filter((path) => !defaults.includes(path) && !joined.includes(path))).toEqual([])
    expect(chosen).toEqual(expect.arrayContaining(defaults))
  })

  test.each(['packages/sojourn', 'packages/server'])(
    '%s imports the packages that it lists, and lists no others',
    (folder) => {
      const manifest = json(`${folder}/package.json`) as Record<string, Record<string, string> | undefined>
      const listed = ['dependencies', 'peerDependencies', 'optionalDependencies'].flatMap((kind) =>
        Object.keys(manifest[kind] ?? {}),
      )
      const code = files(`${folder}/src`, CODE)
      const imported = new Set(
        code
          .flatMap(imports)
          .map(packageOf)
          .filter((name) => name !== undefined),
      )
      expect([...imported].filter((name) => !listed.includes(name))).toEqual([])
      const text = code.map(read).join('\n')
      expect(listed.filter((name) => !imported.has(name) && !text.includes(`'${name}`))).toEqual([])
    },
  )

  test('the library needs no package to run', () => {
    expect(json('packages/sojourn/package.json').dependencies ?? {}).toEqual({})
  })

  test('everybody else imports published names', () => {
    const tenants = [
      ...server,
      ...['bench', 'examples', 'docs', 'test', 'packages/sojourn/test', 'packages/server/test'].flatMap((folder) =>
        files(folder, CODE),
      ),
    ]
    expect(tenants.length).toBeGreaterThan(20)
    const reaching = tenants.flatMap((file) =>
      imports(file)
        .map((specifier) => target(file, specifier))
        .filter(
          (to) => /^packages\/\w+\/(src|dist)\//.test(to) && !to.startsWith(`${dirname(file).split('/src')[0]}/src/`),
        )
        .map((to) => `${file} imports ${to}`),
    )
    expect(reaching).toEqual([])
  })
})

describe('the exports map', () => {
  const { exports } = json('packages/sojourn/package.json') as { exports: Record<string, unknown> }

  test('leads to every folder that is not internal, and to no other', () => {
    const open = folders
      .filter((folder) => !INTERNAL.includes(folder))
      .map((folder) => (ONE_DOOR.includes(folder) ? `./${folder}` : `./${folder}/*`))
    expect(Object.keys(exports).toSorted()).toEqual(['.', './package.json', ...open].toSorted())
  })

  const subpaths = library
    .map(below)
    .filter((path) => folders.includes(dirname(path)) && !INTERNAL.includes(dirname(path)))
    .filter((path) => !ONE_DOOR.includes(dirname(path)) || basename(path) === 'index')
    .map((path) => `sojourn/${path.replace(/\/index$/, '')}`)

  test.each(['sojourn', ...subpaths])('%s can be imported', async (subpath) => {
    const module = (await import(subpath)) as Record<string, unknown>
    expect(Object.keys(module)).not.toEqual([])
    expect(module).not.toHaveProperty('default')
  })

  // file = export = subpath = word in prose
  test.each(
    subpaths.filter((path) => /\/(store|strategy|transport|adapter)\//.test(path) && !basename(path).includes('-')),
  )('%s exports a factory of that name', async (subpath) => {
    const module = (await import(subpath)) as Record<string, unknown>
    expect(module).toHaveProperty(basename(subpath))
  })
})

describe('size and prose', () => {
  test('files are short: about 110 lines in the median, never over 400', () => {
    const sizes = source
      .map((file) => ({ file, length: read(file).split('\n').length - 1 }))
      .toSorted((a, b) => a.length - b.length)
    const median = sizes[Math.floor(sizes.length / 2)]!.length
    const all = source.flatMap(lines)
    const share = Math.round((100 * all.filter(({ comment }) => comment).length) / all.length)
    console.log(
      `${sizes.length} source files, ${all.length} lines that are not blank; median ${median}, longest ${sizes.at(-1)!.length}; comments ${share} %`,
    )
    expect(sizes.filter(({ length }) => length > 400)).toEqual([])
    expect(median).toBeLessThanOrEqual(130)
  })

  test('every export has a docstring', () => {
    const bare = source.flatMap((file) => {
      const all = lines(file)
      return all
        .filter((line, index) => exported(line.text) && !documented(all, index))
        .map((line) => `${file}:${line.number}: ${line.text}`)
    })
    expect(bare).toEqual([])
  })

  test('relative links in the prose lead somewhere', () => {
    const pages = files('', /\.md$/)
    expect(pages.length).toBeGreaterThan(2)
    const all = new Set(files(''))
    const dead = pages.flatMap((page) =>
      [
        ...read(page)
          .replace(/```[\s\S]*?```/g, '')
          .matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g),
      ]
        .map((match) => match[1]!.split('#') as [string, string?])
        .filter(([path, anchor]) => {
          const to = path === '' ? page : join(dirname(page), decodeURI(path)).replace(/\/$/, '')
          if (!all.has(to)) return ![...all].some((file) => file.startsWith(`${to}/`))
          return anchor !== undefined && !headings(to).includes(anchor)
        })
        .map((link) => `${page}: ${link.join('#')}`),
    )
    expect(dead).toEqual([])
  })

  test('the project speaks of itself alone', () => {
    const words = [
      ['issue', '#'].join(' '),
      ['task', '#'].join(' '),
      ['', 'work', ''].join('/'),
      ['', 'root', ''].join('/'),
    ]
    const text = files('').filter((file) => !/\.(png|jpg|ico|woff2|db)$/.test(file))
    expect(text.filter((file) => words.some((word) => read(file).includes(word)))).toEqual([])
  })
})

const NAIVE_COMPARISON =
  /(?<!typeof )\b(\w*([mM]ac|[sS]ignature)|tag)\s*[!=]==?|[!=]==?\s*(\w*([mM]ac|[sS]ignature)|tag)\b(?![.(])/

describe('what never stands in the code', () => {
  test.each([
    ['any', /(:\s*|\bas\s+|<|,\s*|\|\s*)any\b(?!\s*['"`\w])/],
    ['a suppressed type error', /@ts-(ignore|nocheck)/],
    ['11.2.4: a MAC, signature or tag compared with ===, which stops at the first difference', NAIVE_COMPARISON],
    ['7.2.3: Math.random', /Math\.random/],
    ['setPrototypeOf, which makes every later access slow', /\.(setPrototypeOf\(|__proto__\s*=)/],
  ])('%s', (_, pattern) => {
    expect(hits(pattern, source)).toEqual([])
  })

  test('the comparison rule notices what it is for, and nothing else', () => {
    const naive = ['if (mac === given)', 'theirMac !== ours', 'ours == signature', 'x === tag']
    const fine = [
      'mac.length === 32',
      "typeof tag === 'string'",
      'tag.length !== TAG',
      "kind === 'tag'",
      'equal(mac, given)',
    ]
    expect(naive.filter((code) => !NAIVE_COMPARISON.test(code))).toEqual([])
    expect(fine.filter((code) => NAIVE_COMPARISON.test(code))).toEqual([])
  })
})

const DECLARATION =
  /^export (?:declare |default |abstract |async )*(?:function\*?|class|interface|const|type|let) ?\*?(\w+)/

const exported = (text: string): string | undefined => DECLARATION.exec(text)?.[1]

/** A comment stands right above, or above the first of its overloads. */
function documented(all: readonly { text: string; comment: boolean }[], index: number): boolean {
  const above = all[index - 1]
  if (above?.comment) return above.text.trimEnd().endsWith('*/')
  const name = exported(all[index]!.text)
  for (let i = index - 1; i >= 0 && !all[i]!.comment; i--) {
    if (exported(all[i]!.text) === name && all[i - 1]?.comment) return true
  }
  return false
}

/** The anchors of a page, made of its headings as GitHub makes them. */
function headings(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replace(/ /g, '-'),
  )
}
