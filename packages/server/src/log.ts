/**
 * The log: JSON lines for machines, readable lines for a person at a terminal. Everything in it is ours or an id: no
 * credential, no password, no username, and a path without its query (ASVS 16.2.5, A-154, A-155).
 */
import { type DestinationStream, type Logger, pino } from 'pino'
import { PinoPretty } from 'pino-pretty'
import type { SessionEvent } from 'sojourn'

export type { Logger }

/** A log on standard output, readable in a terminal unless NODE_ENV is `production`; JSON lines on any other stream. */
export function createLog(stream?: DestinationStream): Logger {
  const options = {
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
  }
  if (stream) return pino(options, stream)
  if (!process.stdout.isTTY || process.env.NODE_ENV === 'production') return pino(options)
  const messageFormat = '{if event}{event} {end}{if method}{method} {path} {status} in {ms} ms {end}{msg}'
  const ignore = 'event,method,path,status,ms'
  return pino(options, PinoPretty({ translateTime: 'SYS:HH:MM:ss', singleLine: true, ignore, messageFormat }))
}

/** Writes down what happened to sessions, in the words of the OWASP logging vocabulary where it has one. */
export function logEvents(log: Logger): (event: SessionEvent) => void {
  return ({ at: _, ...event }) => {
    switch (event.type) {
      case 'created':
        return log.info({ event: 'session_created', session: event.id, user: event.userId })
      case 'renewed':
        return log.debug({ event: 'session_renewed', session: event.id, user: event.userId })
      case 'rotated':
        return log.info({
          event: 'session_rotated',
          session: event.id,
          from: event.from,
          user: event.userId,
          reason: event.reason,
        })
      case 'ended':
        return log.info({
          event: event.reason === 'limit' ? 'excess_sessions_exceeded' : 'session_ended',
          session: event.id,
          user: event.userId,
          reason: event.reason,
          count: event.count,
        })
      case 'refused': {
        const crossOrigin = event.reason === 'cross-origin' || event.reason === 'csrf-token'
        const stale = event.reason === 'expired' || event.reason === 'ended'
        const replayed = event.reason === 'replayed'
        const name = crossOrigin
          ? 'malicious_csrf'
          : replayed
            ? 'authn_token_reuse'
            : stale
              ? 'session_use_after_expire'
              : 'session_refused'
        return log.warn({ event: name, reason: event.reason, session: event.id, user: event.userId, ip: event.ip })
      }
      case 'fault':
        return log.error({ event: 'sys_fault', code: event.code, detail: event.message })
    }
  }
}
