// What every page needs of the console: the kinds of rules, the apps, the store's health.
import { computed, shallowRef } from 'vue'
import { get } from '../api/client'
import type { About, App, Kind, RuleKindDescription } from '../api/types'

export const about = shallowRef<About | null>(null)
export const apps = shallowRef<App[]>([])
export const kinds = shallowRef<RuleKindDescription[]>([])

export const store = computed(() => about.value?.store)
export const kindOf = (kind: Kind): RuleKindDescription => kinds.value.find((k) => k.kind === kind) as RuleKindDescription
export const isGatewayKind = (kind: Kind): boolean => kind.startsWith('gateway-')

export async function loadAbout(): Promise<void> {
  about.value = await get<About>('/api/about')
}

export async function loadApps(): Promise<void> {
  apps.value = await get<App[]>('/api/apps')
}

export async function loadKinds(): Promise<void> {
  if (kinds.value.length === 0) kinds.value = await get<RuleKindDescription[]>('/api/rule-kinds')
}
