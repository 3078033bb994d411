/** What a user gets: the packed packages, installed into an empty folder. */
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { installed, type Packed, pack, run, temporaryFolder } from './packed.js'
import { files, imports, json, root, target } from './tree.js'

// npm, with a cold cache on a busy machine.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })

const folder = temporaryFolder()
let library: Packed
let server: Packed

beforeAll(async () => {
  library = await pack('sojourn', folder)
  server = await pack('server', folder)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Every subpath that the exports map opens, found in the packed files by its wildcards. */
function subpaths({ files }: Packed, name: string, manifest: string): string[] {
  const { exports } = json(manifest) as { exports: Record<string, string | null | { default: string }> }
  const closed = Object.keys(exports).filter((key) => exports[key] === null)
  return Object.entries(exports).flatMap(([key, entry]) => {
    if (entry === null || typeof entry === 'string') return []
    const [before = '', after] = entry.default.slice(2).split('*')
    if (after === undefined) return [key.replace('.', name)]
    return files
      .filter((file) => file.startsWith(before) && file.endsWith(after) && !file.slice(before.length).includes('/'))
      .map((file) => key.replace('*', file.slice(before.length, -after.length)))
      .filter((path) => !closed.some((key) => new RegExp(`^${key.replace('*', '.*')}$`).test(path)))
      .map((path) => path.replace('.', name))
  })
}

describe('sojourn', () => {
  const opened = () => subpaths(library, 'sojourn', 'packages/sojourn/package.json')

  test("holds what was built from today's source, and nothing else", () => {
    const built = library.files
      .filter((file) => file.endsWith('.js'))
      .map((file) => file.replace(/^dist\/(.*)\.js$/, 'src/$1.ts'))
    const source = files('packages/sojourn/src').map((file) => file.slice('packages/sojourn/'.length))
    // A leftover of a deleted file would be published; `npm test` removes such before it runs.
    expect(built.toSorted()).toEqual(source.toSorted())
    const other = library.files.filter((file) => !/^(dist\/.*\.(js|d\.ts)(\.map)?|src\/.*\.ts)$/.test(file))
    expect(other.filter((file) => file !== 'README.md').toSorted()).toEqual(['LICENSE', 'package.json'])
  })

  test('is small', () => {
    const reached = new Set<string>()
    const visit = (file: string): void => {
      if (reached.has(file)) return
      reached.add(file)
      for (const path of imports(file)) if (path.startsWith('.')) visit(`${target(file, path)}.js`)
    }
    visit(join('packages', 'sojourn', 'dist', 'index.js'))
    const code = [...reached]
      .map((file) => readFileSync(join(root, file)))
      .reduce((all, one) => Buffer.concat([all, one]))
    const zipped = gzipSync(code).length
    console.log(`import 'sojourn' loads ${reached.size} files, ${code.length} bytes, ${zipped} gzipped`)
    expect(reached.size).toBeGreaterThan(10)
    expect(zipped).toBeLessThan(68_000)
  })

  test('publint finds nothing', () => lint(library))

  test('stands alone: every subpath is imported with no other package there, from ES modules and from CommonJS', () =>
    installed([library.tarball], async (app) => {
      expect(readdirSync(join(app, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['sojourn'])
      expect(opened().length).toBeGreaterThan(8)
      expect(await load(app, 'all.mjs', `const load = (path) => import(path)`, opened())).toEqual(opened())
      expect(await load(app, 'all.cjs', `const load = async (path) => require(path)`, opened())).toEqual(opened())
    }))

  test('its internals cannot be imported', () =>
    installed([library.tarball], async (app) => {
      const inside = ['sojourn/keys', 'sojourn/crypto/random', 'sojourn/dist/index.js', 'sojourn/src/index.ts']
      expect(
        await load(app, 'inside.mjs', `const load = (path) => import(path).catch(() => undefined)`, inside),
      ).toEqual([])
    }))

  test.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('its types hold without skipLibCheck: module %s, resolution %s', (module, moduleResolution) =>
    installed([library.tarball], async (app) => {
      // Node's own types, which every server has.
      symlinkSync(join(root, 'node_modules', '@types'), join(app, 'node_modules', '@types'))
      const uses = opened().map((path, i) => `import * as m${i} from '${path}'\nconst n${i}: string = m${i}`)
      writeFileSync(join(app, 'all.ts'), uses.join('\n'))
      const options = { module, moduleResolution, target: 'es2023', lib: ['es2023'], types: ['node'] }
      const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true }
      writeFileSync(
        join(app, 'tsconfig.json'),
        JSON.stringify({ compilerOptions: { ...options, ...strict }, files: ['all.ts'] }),
      )
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
      const complaints = await run(process.execPath, [tsc, '-p', '.', '--pretty', 'false'], app).catch(
        (error: Error) => error.message,
      )
      // Each module is no string, and that is the only complaint: so each was resolved, and nothing else is amiss.
      const errors = complaints.split('\n').filter((line) => /error TS/.test(line))
      expect(
        errors.filter(
          (line) =>
            !/^all\.ts\(\d+,\d+\): error TS2322: Type 'typeof import\(.*' is not assignable to type 'string'/.test(
              line,
            ),
        ),
      ).toEqual([])
      expect(errors).toHaveLength(opened().length)
    }),
  )
})

describe('@sojourn/server', () => {
  test('publint finds nothing', () => lint(server))

  test('is installed beside the library, can be imported, and brings the command', () =>
    installed([library.tarball, server.tarball], async (app) => {
      const opened = subpaths(server, '@sojourn/server', 'packages/server/package.json').filter(
        (path) => !path.endsWith('/cli'),
      )
      expect(opened).toContain('@sojourn/server')
      expect(await load(app, 'all.mjs', `const load = (path) => import(path)`, opened)).toEqual(opened)
      const help = await run('npx', ['--no-install', 'sojourn', '--help'], app)
      expect(help).toMatch(/^Usage: sojourn/m)
      expect(help).toMatch(/^ +serve\b/m)
    }))
})

async function lint({ tarball }: Packed): Promise<void> {
  const bytes = new Uint8Array(readFileSync(tarball))
  const { messages, pkg } = await publint({ pack: { tarball: bytes.buffer }, strict: true })
  expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([])
}

/** Loads modules in a process of its own, and answers which of them came. */
async function load(app: string, file: string, loader: string, paths: readonly string[]): Promise<string[]> {
  const program = `${loader}
;(async () => {
  const found = []
  for (const path of ${JSON.stringify(paths)}) if ((await load(path)) !== undefined) found.push(path)
  console.log(JSON.stringify(found))
})()`
  writeFileSync(join(app, file), program)
  return JSON.parse(await run(process.execPath, [file], app)) as string[]
}
