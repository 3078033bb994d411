/** The pages as a visitor meets them: in a real browser, without JavaScript. */
import { readFileSync } from 'node:fs'
import type { Locator, Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { useBrowser } from './browser.js'
import { PASSWORD, started } from './started.js'

const NEW_PASSWORD = 'several other words instead'
const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0'

/** What `looks.js` found in the page. */
interface Looks {
  wrong: string[]
  /** Pixels by which the page is wider than the window. */
  wide: number
  /** Text and edges against what is behind them. */
  pairs: { what: string; ratio: number; least: number }[]
  /** Of the page's ground, 0 black to 1 white. */
  luminance: number
}

const LOOKS = readFileSync(new URL('looks.js', import.meta.url), 'utf8')

/** Presses what leads to another page, and waits for all of that: a page is there before its style sheet is. */
const press = (what: Locator) => Promise.all([what.page().waitForEvent('load'), what.click()])

const add = (page: Page, name: string) => press(page.getByRole('button', { name: `Add to cart ${name}` }))
const nav = (page: Page) => page.getByRole('navigation', { name: 'Main' })
const notice = (page: Page) => page.getByRole('status').innerText()
const heading = (page: Page) => page.getByRole('heading', { level: 1 }).innerText()

/** Fills the form in the middle of the page by its labels, and sends it. */
async function send(page: Page, fields: Record<string, string>, button: string): Promise<void> {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value)
  await press(page.getByRole('main').getByRole('button', { name: button, exact: true }))
}

const signIn = async (page: Page, password = PASSWORD) => {
  await page.goto('/login')
  await send(page, { Username: 'marguerite', Password: password }, 'Sign in')
}

const signUp = async (page: Page) => {
  await page.goto('/signup')
  await send(page, { Username: 'marguerite', Password: PASSWORD }, 'Create account')
}

describe('with a browser', () => {
  const open = useBrowser()

  test('a journey: cart, account, a second device, its end, a new password, the way out', async () => {
    const { url } = await started()
    const { page: home } = await open(url)

    await home.goto('/')
    await add(home, 'Canvas weekender')
    expect(await notice(home)).toBe('Canvas weekender is in your cart.')
    await add(home, 'Enamel mug')
    await add(home, 'Enamel mug')
    expect(await nav(home).innerText()).toMatch(/Cart\s*3/)
    await home.reload()
    expect(await home.getByRole('status').count(), 'a notice is shown once').toBe(0)

    await signUp(home)
    expect(await notice(home)).toBe('Welcome, marguerite. You are signed in.')
    expect(await nav(home).innerText(), 'the cart came along').toMatch(/Cart\s*3/)

    const { page: office } = await open(url, { userAgent: FIREFOX })
    await office.goto('/')
    await add(office, 'Linen notebook')
    await office.goto('/devices')
    expect(new URL(office.url()).pathname, 'a guest has no devices').toBe('/login')
    await send(office, { Username: 'marguerite', Password: PASSWORD }, 'Sign in')
    expect(new URL(office.url()).pathname, 'back to where the visitor wanted to go').toBe('/devices')
    await home.goto('/cart')
    const lines = await home.locator('.line h2').allInnerTexts()
    expect(lines.sort()).toEqual(['Canvas weekender', 'Enamel mug', 'Linen notebook'])
    expect(await home.locator('.total strong').innerText()).toBe('€179.50')

    await home.goto('/devices')
    const devices = home.locator('.device')
    expect(await devices.count()).toBe(2)
    expect(await devices.nth(0).innerText()).toMatch(/^Chrome on/)
    expect(await devices.nth(0).innerText()).toContain('This device')
    expect(await devices.nth(1).innerText()).toContain('Firefox on Windows')
    expect(await devices.nth(1).innerText()).toContain('127.0.0.1')
    expect(await devices.nth(1).innerText()).not.toContain('This device')
    await press(devices.nth(1).getByRole('button', { name: 'End' }))
    expect(await notice(home)).toBe('That device is signed out.')
    expect(await devices.count()).toBe(1)
    await office.reload()
    expect(await heading(office), 'the ended device is a guest').toBe('Sign in')

    await signIn(office)
    await home.goto('/account')
    await send(home, { 'Current password': PASSWORD, 'New password': NEW_PASSWORD }, 'Change password')
    expect(await notice(home)).toMatch(/^Your password is changed\./)
    await office.goto('/account')
    expect(await heading(office), '7.4.3: a changed password ends the others').toBe('Sign in')
    await signIn(office)
    expect(await office.getByRole('alert').innerText()).toBe('Username or password is wrong.')
    await signIn(office, NEW_PASSWORD)
    expect(await heading(office)).toBe('Things for a longer stay')

    await home.goto('/devices')
    await press(home.getByRole('button', { name: 'End all others' }))
    expect(await notice(home)).toBe('1 other device is signed out.')
    await press(nav(home).getByRole('button', { name: 'Sign out' }))
    expect(await notice(home)).toBe('You are signed out.')
    await home.goto('/account')
    expect(await heading(home)).toBe('Sign in')
  })

  test('CS-09: a form that was loaded before a login in another tab does nothing, and says so', async () => {
    const { url } = await started()
    const { page } = await open(url)
    await page.goto('/')
    const later = await page.context().newPage()
    await signUp(later)
    await add(page, 'Enamel mug')
    expect(await heading(page)).toBe('That page was out of date')
    await page.goto('/cart')
    expect(await page.locator('.line').count()).toBe(0)
  })

  test('two tabs of a guest who has no session yet can both fill the cart', async () => {
    const { url } = await started()
    const { page } = await open(url)
    const second = await page.context().newPage()
    await page.goto('/')
    await second.goto('/')
    await add(page, 'Enamel mug')
    await add(second, 'Tea tin for two')
    expect(await nav(second).innerText()).toMatch(/Cart\s*2/)
  })

  test('"remember me" decides whether the cookie outlives the browser', async () => {
    const { url, user } = await started()
    await user('marguerite')
    const { page } = await open(url)
    const expires = async () => (await page.context().cookies()).map((cookie) => cookie.expires > 0)
    await signIn(page)
    expect(await expires()).toEqual([false])
    await press(nav(page).getByRole('button', { name: 'Sign out' }))
    await page.getByLabel('Keep me signed in on this device').check()
    await send(page, { Username: 'marguerite', Password: PASSWORD }, 'Sign in')
    expect(await expires()).toEqual([true])
    await page.goto('/devices')
    expect(await page.locator('.device').first().innerText()).toContain('Stays signed in')
  })

  test('an error stands beside its field, is read out with it, and keeps what was typed', async () => {
    const { url } = await started()
    const { page } = await open(url)
    await page.goto('/signup')
    await send(page, { Username: 'marguerite', Password: 'a'.repeat(20) }, 'Create account')
    expect(await page.title()).toMatch(/^Error: /)
    const password = page.getByLabel('Password', { exact: true })
    expect(await password.getAttribute('aria-invalid')).toBe('true')
    const ids = (await password.getAttribute('aria-describedby'))!.split(' ')
    expect(ids).toEqual(['password-hint', 'password-error'])
    expect((await page.locator('#password-error').innerText()).length).toBeGreaterThan(10)
    expect(await password.inputValue(), 'a password is never sent back').toBe('')
    const username = page.getByLabel('Username', { exact: true })
    expect(await username.inputValue()).toBe('marguerite')
    expect(await username.getAttribute('aria-invalid')).toBeNull()
  })

  test('3.4.3: no page breaks its own content policy', async () => {
    const { url } = await started()
    const { page, complaints } = await open(url)
    await signUp(page)
    await page.goto('/')
    await add(page, 'Reading lamp')
    for (const path of ['/', '/cart', '/account', '/devices', '/login']) await page.goto(path)
    expect(complaints).toEqual([])
    // The watch itself: what the policy forbids is heard of.
    await page.evaluate(`document.body.append(Object.assign(new Image(), { src: 'https://elsewhere.example/x.png' }))`)
    await expect.poll(() => complaints.join()).toContain('Content Security Policy')
  })

  test.each(['light', 'dark'] as const)(
    '%s: readable, labelled, and no wider than a small phone',
    async (colorScheme) => {
      const { url } = await started()
      const { page } = await open(url, { colorScheme, viewport: { width: 360, height: 740 } })
      const look = async (name: string) => {
        const { wrong, wide, pairs, luminance } = await page.evaluate<Looks>(LOOKS)
        expect(wrong, name).toEqual([])
        expect(wide, `${name}: horizontal scroll`).toBeLessThanOrEqual(0)
        expect(pairs.length, name).toBeGreaterThan(5)
        const faint = pairs.filter(({ ratio, least }) => ratio < least)
        expect(faint, name).toEqual([])
        if (colorScheme === 'dark') expect(luminance, name).toBeLessThan(0.02)
        else expect(luminance, name).toBeGreaterThan(0.85)
      }
      const visit = async (path: string) => {
        await page.goto(path)
        await look(path)
      }

      for (const path of ['/', '/cart', '/login', '/signup', '/nowhere', '/logout']) await visit(path)
      await signIn(page)
      await look('refused sign-in')
      await page.goto('/')
      await add(page, 'Merino blanket')
      await look('shop, with a notice')
      await signUp(page)
      for (const path of ['/', '/cart', '/account', '/devices']) await visit(path)
      await page.goto('/account')
      await send(page, { 'Current password': 'not this one at all', 'New password': NEW_PASSWORD }, 'Change password')
      await look('refused password')
      await page.setViewportSize({ width: 1280, height: 800 })
      for (const path of ['/', '/cart', '/account', '/devices']) await visit(path)
    },
  )

  test('by keyboard: the skip link comes first, and the focus can be seen', async () => {
    const { url } = await started()
    const { page } = await open(url)
    const focused = () =>
      page.evaluate<{ text: string; top: number; outline: string; hash: string }>(`(() => {
        const element = document.activeElement
        const { top } = element.getBoundingClientRect()
        const { outlineStyle, outlineWidth } = getComputedStyle(element)
        return { text: element.innerText, top, outline: outlineStyle + ' ' + outlineWidth, hash: location.hash }
      })()`)
    await page.goto('/')
    await page.keyboard.press('Tab')
    const skip = await focused()
    expect(skip).toMatchObject({ text: 'Skip to the content', outline: 'solid 3px' })
    expect(skip.top).toBeGreaterThanOrEqual(0)
    await page.keyboard.press('Enter')
    expect((await focused()).hash).toBe('#main')
    await page.keyboard.press('Tab')
    expect(await focused()).toMatchObject({ text: expect.stringContaining('Add to cart'), outline: 'solid 3px' })
  })

  test('whoever wants no motion sees none', async () => {
    const { url } = await started()
    for (const [reducedMotion, animation] of [
      ['reduce', 'none'],
      ['no-preference', 'arrive'],
    ] as const) {
      const { page } = await open(url, { reducedMotion })
      await page.goto('/')
      await add(page, 'Brass key fob')
      const name = await page.evaluate<string>(`getComputedStyle(document.querySelector('.notice')).animationName`)
      expect(name).toBe(animation)
    }
  })
})
