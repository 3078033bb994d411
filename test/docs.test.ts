/**
 * The pages cannot lie: every program on them is compiled against the built package, each page opens with one, and
 * those that are whole are started and asked.
 *
 * A program may use names that it does not declare: exports of `sojourn`, which are imported for it, and what any app
 * has at hand (`app`, `req`, `db`), which `AT_HAND` declares. `…` stands for what is left out.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateSecret } from 'sojourn'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { usePostgres } from '../packages/sojourn/test/engines/postgres.js'
import { startRedis, useRedis } from '../packages/sojourn/test/engines/redis.js'
import { run } from './packed.js'
import { freePort } from './ports.js'
import { files, json, read, root } from './tree.js'

/** What an app has, and no page repeats. What is the app's own affair is `any`. */
const AT_HAND = `
declare const keys: string, userId: string, username: string, password: string, token: string
declare const session: Session
declare const sessions: import('sojourn').Sessions<any>
declare const store: import('sojourn').UserStore, devices: import('sojourn').UserStore
declare const revocations: ReturnType<typeof import('sojourn/token/revocation').revocations>
declare const ticket: ReturnType<typeof import('sojourn/token/ticket').tickets>
declare const pair: ReturnType<typeof import('sojourn/token/pair').tokenPair>
declare const signIn: ReturnType<typeof import('sojourn/identity/oauth').oauth>
declare const providers: ReturnType<typeof import('sojourn/identity/oauth').oauth>
declare const tokens: ReturnType<typeof import('sojourn/identity/vault').vault>
declare const guarded: ReturnType<typeof import('sojourn/identity/throttle').throttle>
declare const app: import('express').Express, server: import('node:http').Server
declare const req: import('express').Request, res: import('express').Response, request: any, response: any
declare const SESSION_KEY: string, VAULT_KEY: string, ORIGIN: string, pathname: string, id: string, url: URL
declare const account: any, accounts: any, body: any, changeEmail: any, client: any, current: any, db: any, former: any
declare const form: any, isCommon: any, load: any, log: any, nameOf: any, origins: any, refresh: any, save: any
declare const serve: any, show: any, test: any, tokenVault: any, typed: any, user: any, users: any, verified: any
declare const left_out: any, origin: string, email: string
declare const signingKeys: import('sojourn/token/rotation').RotatingKeys
type Session = import('sojourn').Session
declare module 'node:sqlite' {
  type Database = Exclude<Parameters<typeof import('sojourn/store/sqlite').sqlite>[0], string>
  const DatabaseSync: new (path: string) => Database & { exec(sql: string): void }
}
type Awaitable<T> = import('sojourn').Awaitable<T>
type SessionRecord = import('sojourn').SessionRecord
`

/** Pages that are about commands, and open with those. */
const COMMANDS = ['README', 'benchmarks', 'billion', 'doctor', 'faults', 'moving', 'server']

/** Programs that need nothing but Node, and what they answer to a first and to a second request. */
const VISITS: readonly [string, string] = ['Visit 1\n', 'Visit 2\n']
const WHOLE: Record<string, readonly [string, string]> = {
  'adapters.1': ['visit 1', 'visit 2'],
  'store-cached.1': VISITS,
  'store-express-session.1': VISITS,
  'store-file.1': VISITS,
  'store-memory.1': VISITS,
  'store-sqlite.1': VISITS,
}

/** Programs that are whole and answer somebody else: they come to their end, or wait for requests, and say no error. */
const STARTS = ['at-rest.1', 'moving.1', 'sealed.1', 'sign-in-with-github.1', 'store-express-session.2', 'vault.1']

interface Program {
  /** `store-file.2` is the second of docs/store-file.md. */
  readonly name: string
  readonly page: string
  readonly line: number
  readonly code: string
}

const pages = files('docs', /\.md$/)
const programs = pages.flatMap(programsOf)
const folder = mkdtempSync(join(tmpdir(), 'sojourn-docs-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each(pages.filter((page) => !COMMANDS.includes(nameOf(page))))('%s opens with a program', (page) => {
  const opening = read(page).split(/^## (?!1\.|2\.)/m)[0]!
  expect(opening).toMatch(/^```tsx?$/m)
})

test('docs/README.md leads to every page, and README.md leads there', () => {
  const links = [...read('docs/README.md').matchAll(/\]\(([^)#\s]+)/g)].map((match) => join('docs', match[1]!))
  expect(pages.filter((page) => page !== 'docs/README.md' && !links.includes(page))).toEqual([])
  expect(read('README.md')).toContain('(docs/README.md)')
})

describe('the programs on the pages', () => {
  let complaints: string[] = []
  beforeAll(async () => {
    const exported = await exportsOfSojourn()
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'at-hand.d.ts'), AT_HAND)
    for (const { name, code } of programs) writeFileSync(join(folder, `${name}.ts`), completed(code, exported))
    complaints = [
      ...(await compile(['es2023'], (name) => !name.startsWith('client.'))),
      ...(await compile(['es2023', 'dom', 'dom.iterable'], (name) => name.startsWith('client.'))),
    ]
  }, 120_000)

  test('there are some, and the compiler looks at them', async () => {
    expect(programs.length).toBeGreaterThan(60)
    writeFileSync(join(folder, 'wrong.ts'), `import { createSessions } from 'sojourn'\ncreateSessions({ kyes: '' })\n`)
    expect(await compile(['es2023'], () => false, ['wrong.ts'])).not.toEqual([])
  })

  test.each(programs)('$name compiles ($page:$line)', ({ name, page, line }) => {
    const own = complaints.filter((complaint) => complaint.startsWith(`${name}.ts(`))
    expect(own, `${page}:${line}`).toEqual([])
  })

  test.each(Object.entries(WHOLE))('%s answers', (name, answers) => asked(name, answers))

  test.each(STARTS)('%s starts', async (name) => {
    const { child, said } = await started(name)
    await Promise.race([once(child, 'exit'), sleep(1_500)])
    expect(child.exitCode ?? 0, said()).toBe(0)
    expect(said()).not.toMatch(/Error/)
  })

  describe('on Redis', () => {
    const engine = useRedis(startRedis)
    test('store-redis.1 answers', () => asked('store-redis.1', VISITS, `redis://127.0.0.1:${engine().port}`))
  })

  describe('on PostgreSQL', () => {
    const engine = usePostgres()
    test('store-postgres.1 answers', () => asked('store-postgres.1', VISITS, engine().url))
  })
})

/** Starts a program that was compiled, on a port of its own and in an empty folder; `database` is where its store is. */
async function started(name: string, database = '') {
  const port = await freePort()
  const cwd = join(folder, `run-${name}`)
  mkdirSync(cwd)
  const file = join(cwd, 'program.mjs')
  const code = readFileSync(join(folder, 'built', `${name}.js`), 'utf8')
  writeFileSync(file, code.replaceAll('3000', String(port)).replace('redis://localhost:6379', database))
  const provider = { GITHUB_ID: 'an id', GITHUB_SECRET: 'a secret of the provider', VAULT_KEY: generateSecret() }
  const env = { ...process.env, ...provider, SESSION_KEY: generateSecret(), DATABASE_URL: database }
  const child = spawn(process.execPath, [file], { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] })
  onTestFinished(() => void child.kill())
  let text = ''
  child.stderr.on('data', (chunk) => {
    text += chunk
  })
  return { child, said: () => text, url: `http://localhost:${port}/` }
}

/** Starts it, and visits it twice. */
async function asked(name: string, [first, second]: readonly [string, string], database?: string): Promise<void> {
  const { child, said, url } = await started(name, database)
  const visited = await answered(child, url, said)
  const cookie = visited.headers.getSetCookie().map((line) => line.split(';')[0]!)
  expect(cookie).toHaveLength(1)
  expect(await visited.text()).toBe(first)
  const again = await fetch(url, { headers: { cookie: cookie[0]! } })
  expect(await again.text()).toBe(second)
}

/** The TypeScript on a page, in order. */
function programsOf(page: string): Program[] {
  const text = read(page)
  return [...text.matchAll(/^```tsx?\n([\s\S]*?)^```$/gm)].map((match, i) => ({
    name: `${nameOf(page)}.${i + 1}`,
    page,
    line: text.slice(0, match.index).split('\n').length,
    code: match[1]!,
  }))
}

function nameOf(page: string): string {
  return page.replace(/^docs\/(.*)\.md$/, '$1')
}

/** Which subpath exports which value: the front door where it does, the first other one where it does not. */
async function exportsOfSojourn(): Promise<Map<string, string>> {
  const { exports } = json('packages/sojourn/package.json') as { exports: Record<string, unknown> }
  const paths = Object.keys(exports).flatMap((key) => {
    if (!key.endsWith('/*')) return key === './package.json' ? [] : [`sojourn${key.slice(1)}`]
    return files(`packages/sojourn/src${key.slice(1, -2)}`, /\.ts$/).map(
      (file) => `sojourn${key.slice(1, -1)}${file.replace(/^.*\/|\.ts$/g, '')}`,
    )
  })
  const found = new Map<string, string>()
  for (const path of paths)
    for (const name of Object.keys(await import(path))) if (!found.has(name)) found.set(name, path)
  return found
}

/** The program, with imports for the exports of ours that it uses and does not declare. */
function completed(code: string, exported: ReadonlyMap<string, string>): string {
  const whole = code.replace(/(?<=[{,(]\s*)…(?=\s*[,)}])/g, '...left_out').replace(/(?<==> )…/g, 'left_out')
  const bare = whole.replace(/'[^'\n]*'|\/\/.*$/gm, "''")
  const missing = [...exported].filter(([name]) => {
    const used = new RegExp(`(?<![.\\w])${name}\\(`).test(bare) || (name.startsWith('accept') && bare.includes(name))
    return used && !new RegExp(`\\b(const|function) ${name}\\b|import [^\\n]*\\b${name}\\b`).test(bare)
  })
  return `${missing.map(([name, path]) => `import { ${name} } from '${path}'; `).join('')}export {};\n${whole}`
}

/** What the compiler says of the programs, one line each, in the order of the files. */
async function compile(lib: string[], wanted: (name: string) => boolean, more: string[] = []): Promise<string[]> {
  const chosen = programs.filter(({ name }) => wanted(name)).map(({ name }) => `${name}.ts`)
  const target = { module: 'nodenext', target: 'es2023', lib, types: ['node'], outDir: 'built', rootDir: '.' }
  const options = { ...target, strict: true, skipLibCheck: true, noEmitOnError: false }
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, files: ['at-hand.d.ts', ...chosen, ...more] }),
  )
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const said = await run(process.execPath, [tsc, '-p', '.', '--pretty', 'false'], folder).catch(
    (error: Error) => error.message,
  )
  // A page may show the end of a handler: `return` outside of a function.
  return said.split('\n').filter((line) => /: error TS/.test(line) && !/error TS1108:/.test(line))
}

/** The first answer of a program that is starting. */
async function answered(child: ChildProcess, url: string, said: () => string): Promise<Response> {
  for (let attempt = 0; attempt < 100 && child.exitCode === null; attempt++) {
    const response = await fetch(url).catch(() => undefined)
    if (response) return response
    await sleep(100)
  }
  throw new Error(`the program did not answer:\n${said()}`)
}
