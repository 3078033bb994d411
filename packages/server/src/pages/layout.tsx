/** The frame around every page: head, skip link, who is signed in, what was just done, and the foot. */
import { html } from 'hono/html'
import type { Child } from 'hono/jsx'
import type { JSX } from 'hono/jsx/jsx-runtime'
import { Mark, Wordmark } from './brand.js'
import { Form } from './form.js'
import { STYLE_PATH } from './style.js'

/** What the frame needs to know of the visitor. */
export interface Frame {
  readonly user: { readonly username: string } | undefined
  /** How many things are in the cart, of all kinds together. */
  readonly cartCount: number
  /** The session-bound token of forms; absent for a visitor without a session. */
  readonly csrf: string | undefined
  /** Where the visitor is, for the mark in the navigation. */
  readonly path: string
  /** What the request before this one has to say, once. */
  readonly notice?: string | undefined
}

/**
 * A whole document. `title` names the page before the name of the house. Without a `frame` the visitor is not known, and
 * the navigation offers only what suits everybody.
 */
export function Layout(props: { title: string; frame: Frame | undefined; children: Child }): JSX.Element {
  const { title, frame, children } = props
  return (
    <>
      {html`<!doctype html>`}
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          <meta name="theme-color" content="#f5f7f5" media="(prefers-color-scheme: light)" />
          <meta name="theme-color" content="#0f1412" media="(prefers-color-scheme: dark)" />
          <title>{`${title} · Sojourn`}</title>
          <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
          <link rel="stylesheet" href={STYLE_PATH} />
        </head>
        <body>
          <a class="skip" href="#main">
            Skip to the content
          </a>
          <Header frame={frame} />
          <main id="main" tabindex={-1}>
            <div class="notices" aria-live="polite">
              {frame?.notice === undefined ? null : (
                <p class="notice" role="status">
                  {frame.notice}
                </p>
              )}
            </div>
            {children}
          </main>
          <footer class="foot">
            <Mark />
            <p>Nothing here is for sale: this shop shows how Sojourn keeps a session.</p>
          </footer>
        </body>
      </html>
    </>
  )
}

function Header({ frame }: { frame: Frame | undefined }): JSX.Element {
  const link = (href: string, label: Child): JSX.Element => (
    <a href={href} aria-current={frame?.path === href ? 'page' : undefined}>
      {label}
    </a>
  )
  return (
    <header class="head">
      <Wordmark />
      <nav aria-label="Main">
        {link(
          '/cart',
          <>
            Cart
            {frame?.cartCount ? (
              <span class="pill">
                {frame.cartCount}
                <span class="hidden"> in it</span>
              </span>
            ) : null}
          </>,
        )}
        {frame === undefined ? (
          link('/account', 'Account')
        ) : frame.user ? (
          <>
            {link('/devices', 'Devices')}
            {link('/account', 'Account')}
            <Form action="/logout" csrf={frame.csrf}>
              <button class="plain" type="submit">
                Sign out
              </button>
            </Form>
          </>
        ) : (
          <>
            {link('/login', 'Sign in')}
            {link('/signup', 'Sign up')}
          </>
        )}
      </nav>
    </header>
  )
}
