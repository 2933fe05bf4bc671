// The one door to the console's API: JSON in and out, texts in the reader's language, every failure an ApiFailure.
import { language } from '../i18n'
import type { ApiError } from './types'

export class ApiFailure extends Error {
  constructor(readonly status: number, readonly error: ApiError) {
    super(error.message)
  }
}

let onSignedOut: () => void = () => {}
// What to do when an answer says that the session has ended.
export function whenSignedOut(action: () => void): void {
  onSignedOut = action
}

async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      headers: { 'Accept-Language': language.value, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  } catch {
    throw new ApiFailure(0, { code: 'unavailable', message: '' })
  }
  const text = await response.text()
  let answer: unknown
  try {
    answer = text === '' ? {} : JSON.parse(text)
  } catch {
    throw new ApiFailure(response.status, { code: 'internal', message: text.slice(0, 300) })
  }
  if (response.ok) return answer as T
  const error = (answer as { error?: ApiError }).error ?? { code: 'internal', message: text.slice(0, 300) }
  if (response.status === 401 && path !== '/api/session') onSignedOut()
  throw new ApiFailure(response.status, error)
}

// A path below /api from its parts, each escaped; members of `query` that are undefined or empty are left out.
export function url(parts: (string | number)[], query: Record<string, string | number | undefined> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '')
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
  return '/api/' + parts.map((part) => encodeURIComponent(part)).join('/') + (search && '?' + search)
}

export const get = <T>(path: string) => send<T>('GET', path)
export const post = <T>(path: string, body: unknown) => send<T>('POST', path, body)
export const put = <T>(path: string, body: unknown) => send<T>('PUT', path, body)
export const remove = <T>(path: string) => send<T>('DELETE', path)
