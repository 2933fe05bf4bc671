// Descriptions of the rule kinds, as the console's binary sends them.
import type { FieldDescription, RuleKindDescription, Text } from '../src/api/types'

type Partial1 = Partial<FieldDescription> & Pick<FieldDescription, 'name' | 'type' | 'title'>
const text = (en: string, zh: string): Text => ({ en, zh })
const field = (f: Partial1): FieldDescription => ({ help: text('', ''), default: null, required: false, column: false, ...f })
const option = (value: number | string, en: string, zh: string) => ({ value, title: text(en, zh) })
const ms = text('ms', '毫秒')
const seconds = text('s', '秒')

const resource = field({
  name: 'resource', type: 'string', required: true, column: true, title: text('Resource', '资源名'),
  help: text('The name as the client reports it, e.g. GET:/orders.', '客户端上报的资源名，例如 GET:/orders。'),
})
const regex = field({
  name: 'regex', type: 'boolean', default: false, title: text('Regular expression', '正则匹配'),
  help: text('The resource is an expression; the rule holds for each name that it matches.', '资源名是正则表达式，规则对每个匹配的资源生效。'),
})
const limitApp = field({
  name: 'limitApp', type: 'string', default: 'default', column: true, title: text('Origin', '针对来源'),
  help: text('A caller, "default" for everyone, "other" for those that no rule names.', '调用方名称；default 表示所有来源，other 表示未被其他规则点名的来源。'),
})
const clusterMode = field({
  name: 'clusterMode', type: 'boolean', default: false, title: text('Cluster', '是否集群'),
  help: text('Tokens come from a token server. Without one a client falls back to its own count.', '由 Token Server 统一发放令牌；不可用时退化为单机计数。'),
})
const cluster = [
  clusterMode,
  field({ name: 'clusterConfig.flowId', type: 'integer', min: 1, title: text('Cluster rule id', '集群规则 ID'), shown_when: [{ field: 'clusterMode', in: [true] }] }),
  field({
    name: 'clusterConfig.thresholdType', type: 'enum', default: 0, title: text('Cluster threshold', '集群阈值模式'),
    options: [option(0, 'Average per machine', '单机均摊'), option(1, 'Global', '总体阈值')], shown_when: [{ field: 'clusterMode', in: [true] }],
  }),
  field({
    name: 'clusterConfig.fallbackToLocalWhenFail', type: 'boolean', default: true, title: text('Fall back to local', '失败退化'),
    shown_when: [{ field: 'clusterMode', in: [true] }],
  }),
]

export const kinds: RuleKindDescription[] = [
  {
    kind: 'flow', document: 'flow_rule', key: 'resource', title: text('Flow rules', '流控规则'),
    help: text('Limit the calls of a resource, by second or at the same time.', '限制资源每秒或同时的调用量。'),
    fields: [
      resource, limitApp,
      field({ name: 'grade', type: 'enum', default: 1, column: true, title: text('Threshold type', '阈值类型'), options: [option(1, 'QPS', 'QPS'), option(0, 'Threads', '并发线程数')] }),
      field({ name: 'count', type: 'number', required: true, min: 0, column: true, title: text('Threshold', '单机阈值'), help: text('0 blocks everything.', '0 表示全部拒绝。') }),
      field({ name: 'strategy', type: 'enum', default: 0, column: true, title: text('Mode', '流控模式'), options: [option(0, 'Direct', '直接'), option(1, 'Related', '关联'), option(2, 'Chain', '链路')] }),
      field({ name: 'refResource', type: 'string', required: true, title: text('Related resource or entrance', '关联资源或入口资源'), shown_when: [{ field: 'strategy', in: [1, 2] }] }),
      field({
        name: 'controlBehavior', type: 'enum', default: 0, column: true, title: text('Effect', '流控效果'),
        options: [option(0, 'Reject', '快速失败'), option(1, 'Warm up', 'Warm Up'), option(2, 'Rate limiter', '排队等待'), option(3, 'Warm up + rate limiter', '预热排队')],
        shown_when: [{ field: 'grade', in: [1] }],
      }),
      field({ name: 'warmUpPeriodSec', type: 'integer', default: 10, min: 1, unit: seconds, title: text('Warm-up time', '预热时长'), shown_when: [{ field: 'grade', in: [1] }, { field: 'controlBehavior', in: [1, 3] }] }),
      field({ name: 'maxQueueingTimeMs', type: 'integer', default: 500, min: 0, unit: ms, title: text('Longest wait', '超时时间'), shown_when: [{ field: 'grade', in: [1] }, { field: 'controlBehavior', in: [2, 3] }] }),
      regex, ...cluster,
    ],
  },
  {
    kind: 'degrade', document: 'degrade_rule', key: 'resource', title: text('Circuit breakers', '熔断规则'),
    help: text('Open a breaker when calls are slow or fail, and try again after a while.', '调用变慢或出错时熔断，一段时间后探测恢复。'),
    fields: [
      resource,
      field({
        name: 'grade', type: 'enum', default: 0, column: true, title: text('Strategy', '熔断策略'),
        options: [option(0, 'Slow-call ratio', '慢调用比例'), option(1, 'Exception ratio', '异常比例'), option(2, 'Exception count', '异常数')],
      }),
      field({ name: 'count', type: 'number', required: true, min: 0, column: true, title: text('Threshold', '阈值'), help: text('Slow-call ratio: the response time in ms from which a call is slow. Exception ratio: 0 to 1.', '慢调用比例：最大响应时间（毫秒）；异常比例：0 到 1。') }),
      field({ name: 'slowRatioThreshold', type: 'number', default: 1, min: 0, max: 1, title: text('Ratio of slow calls', '比例阈值'), shown_when: [{ field: 'grade', in: [0] }] }),
      field({ name: 'timeWindow', type: 'integer', required: true, min: 1, unit: seconds, column: true, title: text('Open for', '熔断时长') }),
      field({ name: 'minRequestAmount', type: 'integer', default: 5, min: 1, column: true, title: text('Least requests', '最小请求数') }),
      field({ name: 'statIntervalMs', type: 'integer', default: 1000, min: 1, max: 120000, unit: ms, title: text('Statistics over', '统计时长') }),
      regex,
    ],
  },
  {
    kind: 'param-flow', document: 'param_flow_rule', key: 'resource', title: text('Hot-parameter rules', '热点规则'),
    help: text('A limit for each value of one argument.', '对某个参数的每个取值分别限流。'),
    fields: [
      resource,
      field({ name: 'paramIdx', type: 'integer', required: true, column: true, title: text('Argument', '参数索引'), help: text('From 0; negative: from the last backwards.', '从 0 开始；负数从最后一个参数往前数。') }),
      field({ name: 'grade', type: 'enum', default: 1, column: true, title: text('Threshold type', '限流模式'), options: [option(1, 'QPS', 'QPS'), option(0, 'Threads', '并发线程数')] }),
      field({ name: 'count', type: 'number', required: true, min: 0, column: true, title: text('Threshold', '单机阈值') }),
      field({ name: 'durationInSec', type: 'integer', default: 1, min: 1, unit: seconds, column: true, title: text('Window', '统计窗口时长'), shown_when: [{ field: 'grade', in: [1] }] }),
      field({ name: 'controlBehavior', type: 'enum', default: 0, title: text('Effect', '流控效果'), options: [option(0, 'Reject', '快速失败'), option(2, 'Rate limiter', '匀速排队')], shown_when: [{ field: 'grade', in: [1] }] }),
      field({ name: 'maxQueueingTimeMs', type: 'integer', default: 0, min: 0, unit: ms, title: text('Longest wait', '最大排队时间'), shown_when: [{ field: 'grade', in: [1] }, { field: 'controlBehavior', in: [2] }] }),
      field({ name: 'burstCount', type: 'integer', default: 0, min: 0, title: text('Burst', '突发流量'), shown_when: [{ field: 'grade', in: [1] }, { field: 'controlBehavior', in: [0] }] }),
      field({
        name: 'paramFlowItemList', type: 'list', default: [], title: text('Exceptions', '参数例外项'), help: text('Values with a threshold of their own.', '拥有独立阈值的参数值。'),
        items: [
          field({ name: 'object', type: 'string', required: true, title: text('Value', '参数值') }),
          field({
            name: 'classType', type: 'enum', default: 'java.lang.String', title: text('Type', '参数类型'),
            options: ['java.lang.String', 'int', 'long', 'double', 'boolean'].map((v) => option(v, v.replace('java.lang.', ''), v.replace('java.lang.', ''))),
          }),
          field({ name: 'count', type: 'integer', required: true, min: 0, title: text('Threshold', '限流阈值') }),
        ],
      }),
      regex, clusterMode,
    ],
  },
  {
    kind: 'system', document: 'system_rule', key: '', title: text('System rules', '系统规则'),
    help: text('Protect the whole process; the strictest of several holds.', '保护整个进程；多条规则取最严格的。'),
    fields: [
      field({ name: 'highestSystemLoad', type: 'number', default: -1, min: -1, column: true, title: text('Load', '系统负载'), help: text('-1: not limited.', '-1 表示不限制。') }),
      field({ name: 'avgRt', type: 'integer', default: -1, min: -1, unit: ms, column: true, title: text('Average RT', '平均 RT') }),
      field({ name: 'maxThread', type: 'integer', default: -1, min: -1, column: true, title: text('Threads', '并发数') }),
      field({ name: 'qps', type: 'number', default: -1, min: -1, unit: text('per second', '每秒'), column: true, title: text('Entrance QPS', '入口 QPS') }),
      field({ name: 'highestCpuUsage', type: 'number', default: -1, min: -1, max: 1, column: true, title: text('CPU usage', 'CPU 使用率'), help: text('0 to 1.', '取值 0 到 1。') }),
    ],
  },
  {
    kind: 'authority', document: 'authority_rule', key: 'resource', title: text('Authority rules', '授权规则'),
    help: text('Who may call a resource.', '控制哪些调用方可以访问资源。'),
    fields: [
      resource,
      field({ name: 'limitApp', type: 'string', required: true, column: true, title: text('Origins', '流控应用'), help: text('Separated by commas.', '多个来源以英文逗号分隔。') }),
      field({ name: 'strategy', type: 'enum', default: 0, column: true, title: text('Type', '授权类型'), options: [option(0, 'White list', '白名单'), option(1, 'Black list', '黑名单')] }),
      regex,
    ],
  },
  {
    kind: 'gateway-flow', document: 'gateway_flow_rule', key: 'resource', title: text('Gateway flow rules', '网关流控规则'),
    help: text('Limit routes and groups of paths of a gateway, by client, host, header, parameter or cookie.', '按路由或 API 分组限流，可针对客户端 IP、Host、Header、URL 参数或 Cookie。'),
    fields: [
      field({ name: 'resourceMode', type: 'enum', default: 0, column: true, title: text('Kind of API', 'API 类型'), options: [option(0, 'Route ID', 'Route ID'), option(1, 'API group', 'API 分组')] }),
      field({ name: 'resource', type: 'string', required: true, column: true, title: text('Route or API', 'API 名称') }),
      field({ name: 'grade', type: 'enum', default: 1, column: true, title: text('Threshold type', '阈值类型'), options: [option(1, 'QPS', 'QPS'), option(0, 'Threads', '线程数')] }),
      field({ name: 'count', type: 'number', required: true, min: 0, column: true, title: text('Threshold', '阈值') }),
      field({ name: 'intervalSec', type: 'integer', default: 1, min: 1, unit: seconds, column: true, title: text('Interval', '间隔'), shown_when: [{ field: 'grade', in: [1] }] }),
      field({ name: 'controlBehavior', type: 'enum', default: 0, title: text('Effect', '流控方式'), options: [option(0, 'Reject', '快速失败'), option(2, 'Rate limiter', '匀速排队')], shown_when: [{ field: 'grade', in: [1] }] }),
      field({ name: 'burst', type: 'integer', default: 0, min: 0, title: text('Burst', 'Burst size'), shown_when: [{ field: 'grade', in: [1] }, { field: 'controlBehavior', in: [0] }] }),
      field({ name: 'maxQueueingTimeoutMs', type: 'integer', default: 500, min: 0, unit: ms, title: text('Longest wait', '超时时间'), shown_when: [{ field: 'grade', in: [1] }, { field: 'controlBehavior', in: [2] }] }),
      field({
        name: 'paramItem.parseStrategy', type: 'enum', title: text('By attribute', '参数属性'), help: text('Without one all requests count together.', '不选则所有请求合并计数。'),
        options: [option(0, 'Client IP', 'Client IP'), option(1, 'Remote host', 'Remote Host'), option(2, 'Header', 'Header'), option(3, 'URL parameter', 'URL 参数'), option(4, 'Cookie', 'Cookie')],
      }),
      field({ name: 'paramItem.fieldName', type: 'string', required: true, title: text('Name of it', '属性名称'), shown_when: [{ field: 'paramItem.parseStrategy', in: [2, 3, 4] }] }),
      field({ name: 'paramItem.pattern', type: 'string', title: text('Only values', '匹配串'), shown_when: [{ field: 'paramItem.parseStrategy', in: [2, 3, 4] }] }),
      field({
        name: 'paramItem.matchStrategy', type: 'enum', default: 0, title: text('Match', '匹配模式'), options: [option(0, 'Exact', '精确'), option(3, 'Contains', '子串'), option(2, 'Regex', '正则')],
        shown_when: [{ field: 'paramItem.parseStrategy', in: [2, 3, 4] }],
      }),
    ],
  },
  {
    kind: 'gateway-api', document: 'gateway_api_definition', key: 'apiName', title: text('Gateway APIs', 'API 管理'),
    help: text('Groups of paths that gateway rules name.', '供网关规则引用的 API 分组。'),
    fields: [
      field({ name: 'apiName', type: 'string', required: true, column: true, title: text('API', 'API 名称') }),
      field({
        name: 'predicateItems', type: 'list', required: true, default: [], column: true, title: text('Paths', '匹配规则'),
        items: [
          field({ name: 'pattern', type: 'string', required: true, title: text('Path', '匹配串') }),
          field({ name: 'matchStrategy', type: 'enum', default: 0, title: text('Match', '匹配模式'), options: [option(0, 'Exact', '精确'), option(1, 'Prefix', '前缀'), option(2, 'Regex', '正则')] }),
        ],
      }),
    ],
  },
]
