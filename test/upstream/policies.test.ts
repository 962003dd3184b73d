/** Expressions of admission policies as upstream takes them: what is refused when it is written, and what they tell of objects. */
import { compare, type Step } from './compare.ts'

const ADMISSION = '/apis/admissionregistration.k8s.io/v1'
const maps = { resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }] }

const policy = (spec: object, name = '{name}'): object => ({ metadata: { name }, spec: { matchConstraints: maps, ...spec } })
const post = (path: string, body: object): Step => ({ method: 'POST', path: `${ADMISSION}/${path}`, body })
const written = (spec: object): Step => post('validatingadmissionpolicies?dryRun=All', policy(spec))

const EXPRESSIONS = [
  'object.a ==', 'nope', 'object.spec.replicas > 1 && nope', '1', "'a'", 'object', 'params.x == 1', "request.nope == 'a'",
  'authorizer.requestResource.check("get").allowed()', 'variables.x == 1', "duration('x') > duration('1s')", "'a'.matches('[')",
  "int('x') == 1", "timestamp('2024-02-30T00:00:00Z') != null", "namespaceObject.metadata.name == 1", '[1, "a"] == []',
  "'%d'.format(['a']) == ''", 'object.x.existsOne(y, y)', 'object.`a` == 1', 'true && 1', "ip('1.2.3.4').nope()", 'oldObject.a[0].b.?c.d',
] // prettier-ignore

const MUTATIONS = [
  ['ApplyConfiguration', 'Object{}'],
  ['ApplyConfiguration', 'Object{nope'],
  ['ApplyConfiguration', '{}'],
  ['ApplyConfiguration', "Object{metadata: Object.metadata{labels: {'a': 'b'}}}"],
  ['JSONPatch', "[JSONPatch{op: 'add', path: '/data/x', value: 'y'}]"],
  ['JSONPatch', "[JSONPatch{op: 1, path: '/data/x'}]"],
  ['JSONPatch', '[]'],
  ['JSONPatch', "jsonpatch.escapeKey('a/b')"],
] as const

/** By the label that an object has: what the policy of the scenario makes of it. */
const JUDGED: Readonly<Record<string, string>> = {
  fails: 'false',
  missing: "object.data.nope == 'x'",
  type: 'object.data.a > 1',
  division: '1 / (size(object.data) - 1) == 1',
  index: "object.metadata.labels['none'] == ''",
  variable: "variables.bad == 'x'",
  costly: 'lists.range(2000).all(x, lists.range(2000).all(y, x + y >= 0))',
  denied: 'authorizer.group("").resource("pods").namespace("x").check("nothing").allowed()',
  fine: "variables.good == '1'",
}

const isCase = (name: string): string => `object.metadata.labels['case'] != '${name}'`
const judging: Step = post(
  'validatingadmissionpolicies',
  policy({
    matchConstraints: { ...maps, namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': '{name}' } } },
    variables: [
      { name: 'good', expression: 'object.data.a' },
      { name: 'bad', expression: 'object.data.none' },
    ],
    validations: Object.entries(JUDGED).map(([name, expression], index) => ({
      expression: `${isCase(name)} || (${expression})`,
      ...(index % 2 === 0 ? { messageExpression: "'it is ' + object.metadata.name + string(variables.good)" } : {}),
      ...(name === 'denied' ? { reason: 'Forbidden', message: 'not for you' } : {}),
    })),
  }),
)
const binding: Step = post('validatingadmissionpolicybindings', {
  metadata: { name: '{name}' },
  spec: { policyName: '{name}', validationActions: ['Deny'] },
})

compare('admission policies', [
  {
    name: 'are compiled when they are written',
    steps: [
      ...EXPRESSIONS.map((expression) => written({ validations: [{ expression }] })),
      ...EXPRESSIONS.slice(0, 8).map((messageExpression) => written({ validations: [{ expression: 'true', messageExpression }] })),
      ...EXPRESSIONS.slice(0, 8).map((valueExpression) => written({ auditAnnotations: [{ key: 'k', valueExpression }] })),
      ...EXPRESSIONS.slice(0, 12).map((expression) =>
        written({ variables: [{ name: 'x', expression }], validations: [{ expression: 'variables.x == 1' }] }),
      ),
      ...EXPRESSIONS.slice(0, 12).map((expression) =>
        written({ matchConditions: [{ name: 'c', expression }], validations: [{ expression: 'true' }] }),
      ),
      ...MUTATIONS.map(([patchType, expression]) => {
        const patch = patchType === 'JSONPatch' ? { jsonPatch: { expression } } : { applyConfiguration: { expression } }
        const spec = { reinvocationPolicy: 'Never', mutations: [{ patchType, ...patch }] }
        return post('mutatingadmissionpolicies?dryRun=All', policy(spec))
      }),
    ],
  },
  {
    name: 'judge objects',
    steps: [
      judging,
      binding,
      // Upstream takes a moment to learn of what was configured.
      ...Array.from({ length: 3 }, () => ({ path: '{ns}/configmaps?watch=1&timeoutSeconds=1', except: ['body'] })),
      ...Object.keys(JUDGED).map((name): Step => ({
        method: 'POST',
        path: '{ns}/configmaps',
        body: { metadata: { name: `c-${name}`, labels: { case: name } }, data: { a: '1' } },
      })),
    ],
  },
])
