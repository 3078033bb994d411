/**
 * The README cannot lie: its program is compiled and run against the packed package, and its transcript is typed into
 * a shell and compared with what comes back.
 *
 * Fences: ```ts readme:<name>``` holds a program that listens on port 3000, and ```console readme:<name>``` what was
 * typed (after `$ `; a line that ends in `\` goes on) and what came. There, `…` stands for any text in a line, and a
 * line of `…` alone for any lines. Dates, and random text of 20 characters and more, are taken to be equal.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { pack, run, temporaryFolder } from './packed.js'
import { freePort } from './ports.js'
import { packageOf, read, root } from './tree.js'

// npm and the compiler, on a busy machine.
vi.setConfig({ hookTimeout: 120_000 })

const readme = read('README.md')

describe('the first screen', () => {
  const screen = readme.split('\n').slice(0, 60).join('\n')

  test('gives the two commands, the program and its transcript', () => {
    expect(screen).toMatch(/^npm start\b/m)
    expect(screen).toMatch(/^npm test\b/m)
    expect(screen).toContain('```ts readme:')
    expect(screen).toContain('```console readme:')
  })

  test('names what the packages and the workspace are called, and no script that does not exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const named = [...readme.matchAll(/\bnpm (?:run )?(start|test|(?<=run )[\w:-]+)/g)].map((match) => match[1]!)
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })
})

/** A fenced program and the transcript of the same name. */
interface Example {
  readonly name: string
  readonly program: string
  readonly transcript: readonly Exchange[]
}

/** One command of a transcript, and what it printed. */
interface Exchange {
  readonly command: string
  readonly output: readonly string[]
}

const examples = fences('ts').map(([name, program]): Example => {
  const transcript = fences('console').find(([other]) => other === name)
  if (!transcript) throw new Error(`README.md: the program readme:${name} has no transcript of that name`)
  return { name, program, transcript: exchanges(transcript[1]) }
})

describe.each(examples)('the program readme:$name', ({ name, program, transcript }) => {
  const folder = temporaryFolder()
  let server: ChildProcess | undefined
  let port = 0

  beforeAll(async () => {
    port = await freePort()
    const { tarball } = await pack('sojourn', folder)
    const modules = join(folder, 'node_modules')
    mkdirSync(join(modules, 'sojourn'), { recursive: true })
    await run('tar', ['-xzf', tarball, '-C', join(modules, 'sojourn'), '--strip-components=1'], folder)
    const file = join(folder, `${name}.ts`)
    writeFileSync(file, onPort(program, port))
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
    // Other packages that it uses are those of the workspace; `sojourn` is the packed one.
    for (const other of ['better-sqlite3', '@types', ...programPackages(program)]) link(other, modules)
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const flags = ['--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node', '--pretty', 'false']
    await run(process.execPath, [tsc, ...flags, file], folder)
    server = spawn(process.execPath, [`${name}.js`], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] })
    await listening(port)
  })
  afterAll(() => {
    server?.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  test('is short', () => {
    expect(program.trim().split('\n').length).toBeLessThanOrEqual(20)
  })

  test('answers as the transcript says', () => {
    expect(transcript.length).toBeGreaterThan(1)
    expect(transcript.some(({ output }) => output.some((line) => /^set-cookie: /i.test(line)))).toBe(true)
    for (const { command, output } of transcript) {
      const { stdout, stderr, status } = spawnSync('bash', ['-c', onPort(command, port)], {
        cwd: folder,
        encoding: 'utf8',
      })
      expect({ command, status, stderr }).toEqual({ command, status: 0, stderr: '' })
      expect(
        differs(onPort(output.join('\n'), port).split('\n'), printed(stdout)),
        `$ ${command}\n${stdout}`,
      ).toBeUndefined()
    }
    expect(server?.exitCode).toBe(null)
  })
})

describe('the comparison', () => {
  const came = [
    'HTTP/1.1 200 OK',
    'Set-Cookie: session=abcdefghijklmnopqrstuvwxyz; Path=/',
    'Date: Fri, 20 Nov 2026 10:00:00 GMT',
    '',
    'Visit 1',
  ]

  test.each([
    ['itself', came],
    [
      'other random text and another date',
      came.map((line) => line.replace(/=a.*z;/, '=ABCDEFGHIJKLMNOPQRSTUVWXYZ;').replace('20 Nov', '21 Nov')),
    ],
    ['an ellipsis in a line', [came[0]!, 'Set-Cookie: …; Path=/', ...came.slice(2)]],
    ['an ellipsis of lines', ['HTTP/1.1 200 OK', '…', 'Visit 1']],
  ])('finds %s equal', (_, expected) => expect(differs(expected, came)).toBeUndefined())

  test.each([
    ['another number', [...came.slice(0, 4), 'Visit 2']],
    ['a missing line', came.slice(0, 4)],
    ['a line too many', [...came, 'more']],
    ['a missing attribute', [came[0]!, 'Set-Cookie: …; Path=/; Secure', ...came.slice(2)]],
    ['a line that is not among the elided', ['HTTP/1.1 200 OK', '…', 'X-Other: 1', '…', 'Visit 1']],
  ])('notices %s', (_, expected) => expect(differs(expected, came)).toBeDefined())
})

/** The first expected line that did not come; `undefined` when all did, in order, with nothing in between. */
function differs(expected: readonly string[], came: readonly string[]): string | undefined {
  const pattern = expected.map((line) =>
    line === '…' ? '(?:[^\\n]*\\n)*?' : `${masked(line).split('…').map(escaped).join('[^\\n]*')}\\n`,
  )
  const text = came.map((line) => `${masked(line)}\n`).join('')
  const matches = (count: number) => new RegExp(`^${pattern.slice(0, count).join('')}`).test(text)
  if (new RegExp(`^${pattern.join('')}$`).test(text)) return undefined
  return expected.find((_, i) => !matches(i + 1)) ?? '(the end)'
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

function masked(line: string): string {
  return line
    .replace(/(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g, '(a date)')
    .replace(/[\w.-]{20,}/g, '(random)')
}

/** The lines that came, without the carriage returns of HTTP and the newline at the end. */
function printed(stdout: string): string[] {
  const text = stdout.replaceAll('\r', '')
  return text === '' ? [] : text.replace(/\n$/, '').split('\n')
}

/** The fences of a language that carry a name: `[name, content]`. */
function fences(language: string): [name: string, content: string][] {
  const pattern = new RegExp(`^\`\`\`${language} readme:(\\w+)\\n([\\s\\S]*?)^\`\`\`$`, 'gm')
  return [...readme.matchAll(pattern)].map((match) => [match[1]!, match[2]!])
}

function exchanges(transcript: string): Exchange[] {
  return transcript
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const lines = part.replace(/\n+$/, '').split('\n')
      const end = lines.findIndex((line) => !line.endsWith('\\'))
      return { command: lines.slice(0, end + 1).join('\n'), output: lines.slice(end + 1) }
    })
}

const onPort = (text: string, port: number): string => text.replaceAll(/\b3000\b/g, String(port))

function programPackages(program: string): string[] {
  const names = [...program.matchAll(/from '([^']+)'/g)].map((match) => packageOf(match[1]!))
  return names.filter((name): name is string => name !== undefined && name !== 'sojourn')
}

function link(name: string, modules: string): void {
  const from = join(root, 'node_modules', name)
  const to = join(modules, name)
  if (!existsSync(from) || existsSync(to)) return
  mkdirSync(dirname(to), { recursive: true })
  symlinkSync(from, to)
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = connect(port, 'localhost')
    const answered = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (answered) return
    await sleep(100)
  }
  throw new Error('the program of the README did not listen within ten seconds')
}
