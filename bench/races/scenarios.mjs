/** The races, each over real HTTP. A scenario returns what was kept: `{ kept: boolean, text }`. */

/** One browser: sends its cookies, keeps those that it is sent, follows no redirect by itself. */
export function browser(url) {
  const cookies = new Map()
  return {
    async get(path) {
      const response = await fetch(url + path, {
        redirect: 'manual',
        headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') },
      })
      for (const line of response.headers.getSetCookie()) {
        const [name, value] = line.split(';')[0].split(/=(.*)/s)
        if (value === '' || /max-age=0\b|expires=thu, 01 jan 1970/i.test(line)) cookies.delete(name)
        else cookies.set(name, value)
      }
      return response
    },
    /** The session as the server sees it: `{ user, data }`. */
    async read() {
      const response = await this.get('/read')
      if (!response.ok) throw new Error(`/read answered ${response.status}`)
      return await response.json()
    },
    /** Another that holds the same cookies now, and goes its own way from here: a second tab, or a thief. */
    twin() {
      const other = browser(url)
      other.adopt(cookies)
      return other
    },
    adopt(others) {
      for (const [name, value] of others) cookies.set(name, value)
    },
  }
}

async function signedIn(url) {
  const ada = browser(url)
  await done(ada.get('/login'))
  const { user, data } = await ada.read()
  if (user !== 'ada' || data.count !== 0) throw new Error('the login was not kept')
  return ada
}

/** A request that must have been answered in full. */
async function done(pending) {
  const response = await pending
  await response.text()
  if (!response.ok) throw new Error(`${new URL(response.url).pathname} answered ${response.status}`)
}

/** Two requests at once, each changes a key of its own. */
async function keys(url, gate) {
  const ada = await signedIn(url)
  const pending = ['a', 'b'].map((key) => done(ada.get(`/set/${key}`)))
  await gate.holds(2)
  gate.open()
  await Promise.all(pending)
  const { data } = await ada.read()
  const kept = [data.a, data.b].filter(Boolean).length
  return { kept: kept === 2, text: `${kept} of 2 kept` }
}

/** Twenty requests at once, each adds one to the same counter. */
async function counter(url, gate) {
  const ada = await signedIn(url)
  const pending = Array.from({ length: 20 }, () => done(ada.get('/increment')))
  await gate.holds(20)
  gate.open()
  await Promise.all(pending)
  const { data } = await ada.read()
  return { kept: data.count === 20, text: `${data.count} of 20 counted` }
}

/** A request that began before the logout ends after it, and writes. Nobody may be logged in by that. */
async function logout(url, gate) {
  const ada = await signedIn(url)
  const tab = ada.twin()
  const thief = ada.twin()
  // What becomes of the late request itself is free: it may be refused.
  const late = tab.get('/set/late').then((response) => response.text())
  await gate.holds(1)
  await done(ada.get('/logout'))
  gate.open()
  await late
  for (const holder of [thief, tab]) {
    if ((await holder.read()).user !== undefined) return { kept: false, text: 'logged in again' }
  }
  return { kept: true, text: 'stays logged out' }
}

/** A redirect is followed as soon as it is there: the page that it leads to must see what was written. */
async function redirect(url) {
  const ada = await signedIn(url)
  const response = await ada.get('/redirect')
  if (response.status !== 302) throw new Error(`/redirect answered ${response.status}`)
  const { data } = await ada.read()
  return data.moved ? { kept: true, text: 'saved in time' } : { kept: false, text: 'not saved yet' }
}

/** What is shown, in this order. */
export const scenarios = [
  { label: 'two requests change different keys', run: keys },
  { label: '20 requests increment one counter', run: counter },
  { label: 'a late write after logout', run: logout },
  { label: 'a redirect that is followed at once', run: redirect },
]
