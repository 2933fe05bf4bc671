// Who is signed in, and what they may do.
import { computed, shallowRef } from 'vue'
import { ApiFailure, get, post, remove } from '../api/client'
import { startLive, stopLive } from '../api/live'
import type { Session } from '../api/types'

export const session = shallowRef<Session | null>(null)
let asked = false

export const isAdmin = computed(() => session.value?.user.role === 'admin')

export function mayChange(app: string): boolean {
  const user = session.value?.user
  return user?.role === 'admin' || (user?.role === 'editor' && (user.apps.includes('*') || user.apps.includes(app)))
}

function begin(found: Session): void {
  session.value = found
  startLive()
}

// Whether there is a session; the server is asked once.
export async function signedIn(): Promise<boolean> {
  if (!session.value && !asked) {
    asked = true
    try {
      begin(await get<Session>('/api/session'))
    } catch (e) {
      if (!(e instanceof ApiFailure)) throw e
    }
  }
  return session.value !== null
}

export async function signIn(username: string, password: string): Promise<void> {
  begin(await post<Session>('/api/session', { username, password }))
}

export function forget(): void {
  session.value = null
  stopLive()
}

export async function signOut(): Promise<void> {
  await remove('/api/session')
  forget()
}
