/** HTTPS with a certificate of the server's own making. */
import { X509Certificate } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { readConfig } from '@sojourn/server'
import { loadCertificate } from '@sojourn/server/certificate'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { useBrowser } from './browser.js'
import { folder, started } from './started.js'

const DAY = 24 * 3_600_000

/** Asks with this certificate as the only one that is trusted. */
const ask = (url: string, ca: string) =>
  new Promise<{ status: number | undefined; headers: Record<string, string | string[] | undefined> }>((done, fail) => {
    const call = request(url, { ca }, (response) => {
      response.resume()
      done({ status: response.statusCode, headers: response.headers })
    })
    call.on('error', fail).end()
  })

/** The certificate that a server shows, in PEM. */
const shown = (url: string) =>
  new Promise<string>((done, fail) => {
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', rejectUnauthorized: false }, () => {
      done(socket.getPeerX509Certificate()!.toString().trim())
      socket.destroy()
    })
    socket.on('error', fail)
  })

describe('the certificate', () => {
  test('A-160: is for this machine, is its owner’s alone, and stays', async () => {
    const data = folder()
    const { cert, key } = await loadCertificate(data, ['shop.test'], Date.now())
    const known = new X509Certificate(cert)
    for (const name of ['localhost', 'shop.test']) expect(known.checkHost(name)).toBe(name)
    for (const ip of ['127.0.0.1', '::1']) expect(known.checkIP(ip)).toBe(ip)
    expect(known.checkHost('other.test')).toBeUndefined()
    expect(known.ca).toBe(false)
    expect((Date.parse(known.validTo) - Date.now()) / DAY).toBeLessThan(398)
    expect(statSync(join(data, 'https.pem')).mode & 0o777).toBe(0o600)
    expect(readdirSync(data)).toEqual(['https.pem'])
    expect(await loadCertificate(data, ['shop.test'], Date.now())).toEqual({ cert, key })
  })

  test('is made anew before it runs out, for a name that it lacks, and where it is none', async () => {
    const data = folder()
    const first = await loadCertificate(data, [], Date.now())
    expect(await loadCertificate(data, [], Date.now() + 350 * DAY)).toEqual(first)
    const second = await loadCertificate(data, [], Date.now() + 365 * DAY)
    expect(second.cert).not.toBe(first.cert)
    const third = await loadCertificate(data, ['shop.test'], Date.now() + 365 * DAY)
    expect(third.cert).not.toBe(second.cert)
    writeFileSync(join(data, 'https.pem'), 'torn')
    const fourth = await loadCertificate(data, [], Date.now())
    expect(new X509Certificate(fourth.cert).checkHost('localhost')).toBe('localhost')
  })

  test('that others can read is refused', async () => {
    const data = folder()
    await loadCertificate(data, [], Date.now())
    chmodSync(join(data, 'https.pem'), 0o644)
    await expect(loadCertificate(data, [], Date.now())).rejects.toThrow(/others than the owner can read/)
  })
})

describe('a server with --https', () => {
  test('is asked for by one flag', () => {
    expect(readConfig({ https: true }, {}).https).toBe(true)
    expect(readConfig({}, { SOJOURN_HTTPS: 'true' }).https).toBe(true)
  })

  test('speaks HTTPS alone, says so, and does not have browsers insist on it', async () => {
    const server = await started({ https: true })
    expect(server.url).toMatch(/^https:/)
    expect(server.lines.join('')).toContain(server.url)
    const ca = readFileSync(join(server.data, 'https.pem'), 'utf8')
    const { status, headers } = await ask(server.url, ca)
    expect(status).toBe(200)
    expect(headers['strict-transport-security']).toBeUndefined()
    await expect(ask(server.url.replace('127.0.0.1', 'localhost'), '')).rejects.toThrow()
    await expect(fetch(server.url.replace('https:', 'http:'))).rejects.toThrow()
  })

  test('shows the certificate of its folder, and a new one before that runs out, without a restart', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const clock = manualClock()
    clock.set(Date.now())
    const server = await started({ https: true }, { clock })
    const kept = () => readFileSync(join(server.data, 'https.pem'), 'utf8')
    const first = await shown(server.url)
    expect(kept()).toContain(first)
    clock.set(Date.now() + 365 * DAY)
    await vi.advanceTimersByTimeAsync(12 * 3_600_000)
    await expect.poll(() => shown(server.url)).not.toBe(first)
    expect(kept()).toContain(await shown(server.url))
  })
})

describe('in a browser', () => {
  const open = useBrowser()

  test('3.3.1: the session’s cookie has the prefix __Host-Http-, and works', async () => {
    const server = await started({ https: true })
    const { page, complaints } = await open(server.url, { ignoreHTTPSErrors: true })
    await page.goto('/signup')
    await page.fill('[name=username]', 'ada')
    await page.fill('[name=password]', 'a few words in a row')
    await page.getByRole('button', { name: 'Create account' }).click()
    expect(await page.innerText('body')).toContain('Welcome, ada')
    const [cookie, ...more] = await page.context().cookies()
    expect(cookie).toMatchObject({ name: '__Host-Http-session', secure: true, httpOnly: true })
    expect(more).toEqual([])
    expect(complaints).toEqual([])
  })
})
