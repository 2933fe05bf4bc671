// The console's HTTP API as the pages see it; src/console/openapi.yaml says the same for everybody else.
//
// All bodies are JSON. A session is a cookie (HttpOnly, SameSite=Strict). Requests that change something are refused when they come
// from another origin. Texts for people come in the language of Accept-Language (zh or en). Times are milliseconds since 1970.
//
// Errors: { error: ApiError }. 400 invalid (with faults), 401 no session, 403 role or origin, 404, 409 conflict (with `stored`),
// 422 garbage in the store (write again with overwrite_garbage), 429 too many log-ins, 503 the store can't be reached or written.

export interface Text { en: string; zh: string }

export interface ApiError {
  code: 'invalid' | 'unauthenticated' | 'forbidden' | 'not_found' | 'conflict' | 'garbage' | 'throttled' | 'unavailable' | 'internal'
  message: string
  faults?: Fault[]
  stored?: RuleList          // conflict: what is stored now; the version that was expected is in the request
}

// What is wrong with a rule: which one (position in the list that was sent, -1: the list), which field, what would be accepted.
export interface Fault { index: number; field: string; message: string }

// --- GET /api/session · POST /api/session {username, password} · DELETE /api/session · PUT /api/session/password {old, new}
export interface Session { user: User; must_change_password: boolean }
export type Role = 'admin' | 'editor' | 'viewer'
// `apps`: what an editor may change, by name; ["*"]: all. Viewers and editors see every app.
export interface User { name: string; role: Role; apps: string[]; created: number; last_login: number | null }
// GET /api/users (admin) -> User[] · POST /api/users {name, role, apps, password} · PUT /api/users/NAME {role?, apps?, password?} ·
// DELETE /api/users/NAME. Nobody can remove or demote the last admin.

// --- GET /api/about (no session needed: only `version` then)
export interface About { version: string; store?: StoreHealth; registration_secret?: boolean }
export interface StoreHealth { name: string; reachable: boolean; writable: boolean; detail: string }

// --- GET /api/rule-kinds -> RuleKindDescription[]: forms, columns and help are made from these alone.
export type Kind = 'flow' | 'degrade' | 'param-flow' | 'system' | 'authority' | 'gateway-flow' | 'gateway-api'
export interface RuleKindDescription {
  kind: Kind
  document: string           // "flow_rule": its name in the store
  title: Text
  help: Text
  key: string                // the field that names the resource: "resource", "apiName"; "" for system rules
  fields: FieldDescription[]
}
export interface FieldDescription {
  name: string               // "count", "clusterConfig.flowId" (a member of an object)
  type: 'string' | 'number' | 'integer' | 'boolean' | 'enum' | 'list'
  title: Text
  help: Text
  default: unknown           // what a rule without the field means; null: nothing
  required: boolean
  min?: number               // inclusive
  max?: number
  unit?: Text                // "ms", "per second"
  options?: { value: number | string; title: Text }[]      // enum
  items?: FieldDescription[] // list: the members of each element
  shown_when?: { field: string; in: (number | string | boolean)[] }[]   // all must hold; otherwise the field means nothing
  column: boolean            // worth a column in the table
}

// --- apps: GET /api/apps -> App[] · DELETE /api/apps/NAME (only without machines that live and without rules)
export interface App {
  name: string
  app_type: number           // Sentinel's: 0 normal; 1, 11, 12: gateways
  machines: number
  healthy: number
  rules: Record<Kind, number>
  garbage: Kind[]            // documents that can't be read
  drift: number              // machines that have other rules than the stored ones
  pass_qps: number
  block_qps: number
}

// --- GET /api/apps/NAME/machines -> Machine[] · DELETE /api/apps/NAME/machines/IP:PORT
export interface Machine {
  id: string                 // "10.0.0.1:8719"
  ip: string
  port: number
  hostname: string
  version: string            // of the client
  pid: number | null
  heartbeat: number
  healthy: boolean
  state: Record<Kind, 'same' | 'differs' | 'unknown' | 'unsupported'>   // against the stored rules
  loaded: Record<Kind, number | null>
  problem: string            // "" or why it can't be asked, or does not take its rules
}
// GET /api/apps/NAME/machines/ID/rules/KIND -> { rules: Rule[]; difference: { missing: Rule[]; extra: Rule[] } }

// --- rules: GET /api/apps/NAME/rules/KIND -> RuleList
// PUT the same {expected, rules, comment?, overwrite_garbage?} -> RuleList: the whole list, compare-and-set on `version`.
// POST .../rules/KIND/check {rules} -> { faults: Fault[]; warnings: Warning[] }: nothing is written.
// POST .../rules/KIND/dry-run {rule} -> DryRun · POST .../rules/KIND/rollback {change, expected} -> RuleList
export interface Rule { enabled: boolean; [field: string]: unknown }    // Sentinel's fields; members unknown to us are kept
export interface RuleList {
  app: string
  kind: Kind
  version: string            // opaque; "": nothing is stored
  rules: Rule[]              // those disabled are kept by the console and are not in the store's document
  garbage: null | { text: string; faults: Fault[] }   // the document can't be read (whole or in part); `rules` are the last good ones
}
export interface DryRun {
  resource: string
  from: number
  to: number
  requests: number           // that passed or were blocked in that time
  would_block: number
  blocked: number            // really
  by_minute: { time: number; requests: number; would_block: number }[]
  note: string               // what the estimate can't know (origins, parameters), "" if nothing
}

// --- GET /api/apps/NAME/warnings -> Warning[] · GET /api/apps/NAME/effective?resource=R -> Effective
export interface Warning { kind: Kind; index: number; code: 'zero' | 'unknown_resource' | 'conflict' | 'duplicate' | 'shadowed' | 'cluster'; message: string }
export interface Effective {
  resource: string
  rules: { kind: Kind; index: number; rule: Rule; how: 'exact' | 'prefix' | 'regex' | 'default'; obeyed: boolean; note: string }[]  // in the order in which they are asked
}

// --- GET /api/apps/NAME/resources[?machine=ID] -> Resources: what the clients have seen in the last minute
export interface ResourceNode {
  resource: string
  type: number               // Sentinel's: 0 common, 1 web, 2 rpc, 3 gateway, 4 sql, 5 cache
  threads: number
  pass_qps: number
  block_qps: number
  success_qps: number
  exception_qps: number
  rt: number                 // ms on average
  minute_pass: number
  minute_block: number
  rules: Partial<Record<Kind, number>>   // stored rules that name it
  children: ResourceNode[]
}
export interface Resources { time: number; tree: ResourceNode[]; list: ResourceNode[]; problems: string[] }

// --- GET /api/apps/NAME/metrics?resource=R&from=&to=&step=1|60|3600 -> Series; no resource: all of them together
// step 1 is kept for an hour, 60 for two days, 3600 for a year (about).
export interface Series { step: number; times: number[]; pass: number[]; block: number[]; success: number[]; exception: number[]; rt: number[] }
// GET /api/apps/NAME/top?seconds=60&limit=30&search= -> Top[]
export interface Top { resource: string; pass: number; block: number; success: number; exception: number; rt: number; pass_qps: number; block_qps: number }

// --- history: GET /api/apps/NAME/history[?kind=&before=ID&limit=] -> Change[] · GET /api/apps/NAME/history/ID -> Change with before and after
export interface Change {
  id: number
  time: number
  user: string               // "" with source outside
  source: 'console' | 'outside' | 'client'   // outside: another writer of the store
  app: string
  kind: Kind
  comment: string
  version: string
  added: number
  removed: number
  changed: number
  before?: Rule[] | string   // a text when it could not be read
  after?: Rule[] | string
}

// --- GET /api/apps/NAME/export -> Export · POST /api/apps/NAME/import {document: Export, mode: 'merge' | 'replace', comment?} -> { changed: Kind[] }
export interface Export { app: string; exported: number; rules: Partial<Record<Kind, Rule[]>> }

// --- audit: GET /api/audit[?before=ID&limit=&user=] -> Audit[] (admin)
export interface Audit { id: number; time: number; user: string; address: string; action: string; target: string; ok: boolean; detail: string }

// --- GET /api/events: text/event-stream; each event's data is one of these.
export type ConsoleEvent =
  | { type: 'rules'; app: string; kind: Kind; version: string }
  | { type: 'machines'; app: string }
  | { type: 'store'; health: StoreHealth }
