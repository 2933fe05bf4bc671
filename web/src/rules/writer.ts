// Stores an edit of a list of rules: compare-and-set, and when that fails, people decide (WriteDialogs.vue).
import { shallowRef, type ShallowRef } from 'vue'
import { ApiFailure, put, url } from '../api/client'
import type { RuleList } from '../api/types'
import type { Edit } from './edits'

export interface Conflict { base: RuleList; stored: RuleList; edit: Edit; decide: (what: 'theirs' | 'mine' | 'cancel') => void }
export interface GarbageQuestion { list: RuleList; decide: (overwrite: boolean) => void }
// null: nothing was stored, since the reader chose so; `list` is what is stored by then.
export interface Written { stored: boolean; list: RuleList }

export interface Writer {
  conflict: ShallowRef<Conflict | null>
  garbage: ShallowRef<GarbageQuestion | null>
  write: (list: RuleList, edit: Edit) => Promise<Written>
}

export function useWriter(): Writer {
  const conflict = shallowRef<Conflict | null>(null)
  const garbage = shallowRef<GarbageQuestion | null>(null)

  function askGarbage(list: RuleList): Promise<boolean> {
    return new Promise((decide) => {
      garbage.value = { list, decide: (overwrite) => { garbage.value = null; decide(overwrite) } }
    })
  }

  function askConflict(base: RuleList, stored: RuleList, edit: Edit): Promise<'theirs' | 'mine' | 'cancel'> {
    return new Promise((decide) => {
      conflict.value = { base, stored, edit, decide: (what) => { conflict.value = null; decide(what) } }
    })
  }

  async function write(list: RuleList, edit: Edit): Promise<Written> {
    let base = list
    let overwrite = false
    for (;;) {
      if (base.garbage && !overwrite) {
        overwrite = await askGarbage(base)
        if (!overwrite) return { stored: false, list: base }
      }
      try {
        const body = { expected: base.version, rules: edit.apply(base.rules), comment: edit.comment, ...(overwrite ? { overwrite_garbage: true } : {}) }
        return { stored: true, list: await put<RuleList>(url(['apps', list.app, 'rules', list.kind]), body) }
      } catch (e) {
        if (!(e instanceof ApiFailure)) throw e
        if (e.error.code === 'conflict' && e.error.stored) {
          const stored = e.error.stored
          const what = await askConflict(base, stored, edit)
          if (what !== 'mine') return { stored: false, list: what === 'theirs' ? stored : base }
          base = stored
          overwrite = false
        } else if (e.error.code === 'garbage' && !overwrite) {
          overwrite = await askGarbage(e.error.stored ?? base)
          if (!overwrite) return { stored: false, list: base }
        } else {
          throw e
        }
      }
    }
  }

  return { conflict, garbage, write }
}
