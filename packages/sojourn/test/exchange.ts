import type { Exchange } from 'sojourn'

/** One request and the headers of its response, for tests that need no server. */
export interface FakeExchange extends Exchange {
  readonly lines: string[]
  readonly response: Map<string, string>
}

export interface FakeRequest {
  method?: string
  secure?: boolean
  url?: string
  headers?: Record<string, string>
}

export function exchange({ method = 'GET', secure = true, url = '/', headers = {} }: FakeRequest = {}): FakeExchange {
  const response = new Map<string, string>()
  const lines: string[] = []
  return {
    method,
    secure,
    url,
    ip: undefined,
    lines,
    response,
    header: (name) => headers[name],
    get: (name) => response.get(name),
    set: (name, value) => void response.set(name, value),
    cookies: () => [...lines],
    setCookies: (next) => void lines.splice(0, lines.length, ...next),
  }
}
