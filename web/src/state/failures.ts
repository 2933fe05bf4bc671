// How a failure is told to people.
import { ElMessage } from 'element-plus'
import { ref, type Ref } from 'vue'
import { ApiFailure } from '../api/client'
import { t } from '../i18n'

export function sentence(failure: unknown): string {
  if (failure instanceof ApiFailure) return failure.error.message || t('error.unreachable')
  return failure instanceof Error ? failure.message : String(failure)
}

export function complain(failure: unknown): void {
  ElMessage({ type: 'error', message: sentence(failure), showClose: true, duration: 8000, grouping: true })
}

export const praise = (message: string) => void ElMessage({ type: 'success', message, duration: 2500 })

export interface Loading { busy: Ref<boolean>; failure: Ref<string>; ready: Ref<boolean>; run: () => Promise<void> }

// Loads what a page shows: `failure` has the sentence when it did not work, `ready` is true once it did.
export function useLoading(load: () => Promise<unknown>): Loading {
  const busy = ref(false)
  const failure = ref('')
  const ready = ref(false)
  let round = 0
  const run = async () => {
    const mine = ++round
    busy.value = true
    try {
      await load()
      if (mine !== round) return
      failure.value = ''
      ready.value = true
    } catch (e) {
      if (mine === round) failure.value = sentence(e)
    } finally {
      if (mine === round) busy.value = false
    }
  }
  return { busy, failure, ready, run }
}
