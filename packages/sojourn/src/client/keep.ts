/** Where the credential is kept. */
import { type Credential, credentialOf } from './credential.js'

/** Where the credential is kept: in this page alone, in this tab, or in this browser. */
export type Storing = 'memory' | 'sessionStorage' | 'localStorage'

/** The one place that a client keeps its credential in. */
export interface Keep {
  get(): Credential | undefined
  set(credential: Credential | undefined): void
}

/** Keeps it as asked; in memory where the browser gives no storage, as in a sandboxed frame. */
export function keepIn(storage: Storing, name: string): Keep {
  const area = storage === 'memory' ? undefined : areaOf(storage)
  if (storage === 'localStorage') {
    console.warn(
      'sojourn: a credential in localStorage can be read by every script of this origin and outlives the browser; ' +
        'NIST SP 800-63B-4 (5.1) says not to. Keep it in memory, and the refresh token in its cookie.',
    )
  }
  return area ? web(area, `sojourn:${name}`) : memory()
}

function memory(): Keep {
  let held: Credential | undefined
  return {
    get: () => held,
    set: (credential) => {
      held = credential
    },
  }
}

/** Read anew each time: another tab may have renewed it, or logged out, a moment ago. */
function web(area: Storage, key: string): Keep {
  return {
    get() {
      try {
        return credentialOf(JSON.parse(area.getItem(key) ?? 'null'))
      } catch {
        return undefined
      }
    },
    set(credential) {
      if (credential) area.setItem(key, JSON.stringify(credential))
      else area.removeItem(key)
    },
  }
}

function areaOf(storage: 'sessionStorage' | 'localStorage'): Storage | undefined {
  try {
    return globalThis[storage]
  } catch {
    return undefined
  }
}
