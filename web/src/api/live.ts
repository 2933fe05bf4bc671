// What changes while a page is open. One EventSource for all pages; while it is down, whoever listens is asked to look again every few
// seconds.
import { onScopeDispose, ref } from 'vue'
import type { ConsoleEvent } from './types'

const pollSeconds = 5
type Listener = (event: ConsoleEvent | null) => void

const listeners = new Set<Listener>()
let source: EventSource | null = null
let poll: number | undefined

export const connected = ref(false)

const tell = (event: ConsoleEvent | null) => listeners.forEach((listener) => listener(event))

export function startLive(): void {
  if (source) return
  source = new EventSource('/api/events')
  source.onopen = () => {
    connected.value = true
    clearInterval(poll)
    poll = undefined
  }
  source.onmessage = (message: MessageEvent<string>) => tell(JSON.parse(message.data) as ConsoleEvent)
  source.onerror = () => {
    connected.value = false
    poll ??= window.setInterval(() => tell(null), pollSeconds * 1000)
    // An answer that is no stream closes the source for good.
    if (source?.readyState === EventSource.CLOSED) {
      source = null
      window.setTimeout(() => listeners.size > 0 && startLive(), pollSeconds * 1000)
    }
  }
}

export function stopLive(): void {
  source?.close()
  source = null
  clearInterval(poll)
  poll = undefined
  connected.value = false
}

// Calls `action` for events that `wanted` picks, and for every round of polling, as long as the component lives.
export function useLive(wanted: (event: ConsoleEvent) => boolean, action: () => unknown): void {
  const listener: Listener = (event) => {
    if (event === null || wanted(event)) action()
  }
  listeners.add(listener)
  onScopeDispose(() => listeners.delete(listener))
}

// Every `seconds` while the page is seen.
export function useEvery(seconds: number, action: () => unknown): void {
  const timer = window.setInterval(() => document.visibilityState === 'visible' && action(), seconds * 1000)
  onScopeDispose(() => clearInterval(timer))
}
