/** Rules of what a FlowSchema says of requests: whose, and for what (upstream's apis/flowcontrol/validation). */
import type { PolicyRulesWithSubjects, Subject } from '../../../api/generated/flowcontrol/v1.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults } from '../../../api/names.ts'
import { checkFormat, duplicate, forbidden, invalid, notSupported, required, type FieldErrors } from '../rules.ts'

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'proxy', 'update', 'watch']
const SUBJECTS = { Group: 'group', ServiceAccount: 'serviceAccount', User: 'user' } as const

export function validateRequestRule(errors: FieldErrors, path: string, rule: Partial<PolicyRulesWithSubjects>): void {
  const { subjects = [], resourceRules = [], nonResourceRules = [] } = rule
  if (subjects.length === 0) errors.push(required(`${path}.subjects`, 'subjects must contain at least one value'))
  subjects.forEach((subject, i) => validateSubject(errors, `${path}.subjects[${i}]`, subject))
  if (resourceRules.length === 0 && nonResourceRules.length === 0) {
    errors.push(required(path, 'at least one of resourceRules and nonResourceRules has to be non-empty'))
  }
  resourceRules.forEach(({ verbs, apiGroups, resources, namespaces = [], clusterScope }, i) => {
    const at = `${path}.resourceRules[${i}]`
    validateVerbs(errors, `${at}.verbs`, verbs)
    const supply = 'resource rules must supply at least one'
    checkWildcard(errors, `${at}.apiGroups`, apiGroups, 'api groups', `${supply} api group`)
    checkWildcard(errors, `${at}.resources`, resources, 'resources', `${supply} resource`)
    if (namespaces.length === 0 && clusterScope) return
    const missing = 'resource rules that are not cluster scoped must supply at least one namespace'
    if (!checkWildcard(errors, `${at}.namespaces`, namespaces, 'namespaces', missing)) return
    namespaces.forEach((namespace, j) => checkFormat(errors, `${at}.namespaces[${j}]`, namespace, namespaceFaults))
  })
  nonResourceRules.forEach(({ verbs, nonResourceURLs }, i) => {
    const at = `${path}.nonResourceRules[${i}]`
    validateVerbs(errors, `${at}.verbs`, verbs)
    const missing = 'nonResourceURLs must contain at least one value'
    if (!checkWildcard(errors, `${at}.nonResourceURLs`, nonResourceURLs, 'non-resource URLs', missing)) return
    nonResourceURLs.forEach((url, j) => checkFormat(errors, `${at}.nonResourceURLs[${j}]`, url, urlFaults))
  })
}

/** True where the values are to be looked at one by one: there are some, and no wildcard. */
function checkWildcard(errors: FieldErrors, path: string, values: readonly string[] = [], name: string, missing: string): boolean {
  if (values.length === 0) errors.push(required(path, missing))
  if (!values.includes('*')) return values.length > 0
  if (values.length > 1) errors.push(invalid(path, values, `if '*' is present, must not specify other ${name}`))
  return false
}

function validateVerbs(errors: FieldErrors, path: string, verbs: readonly string[] = []): void {
  const isListed = checkWildcard(errors, path, verbs, 'verbs', 'verbs must contain at least one value')
  if (isListed && !verbs.every((verb) => VERBS.includes(verb))) errors.push(notSupported(path, verbs, VERBS))
}

const namespaceFaults = (namespace: string): readonly string[] =>
  dns1123LabelFaults(namespace).map((fault) => `each member of this list must be '*' or a DNS-1123 label; ${fault}`)

function urlFaults(url: string): readonly string[] {
  if (url === '') return ['must not be empty']
  if (!url.startsWith('/')) return ['must start with slash']
  if (url.includes(' ')) return ['must not contain white-space']
  if (url.includes('//')) return ['must not contain double slash']
  return /^[^*]*(?:\/\*)?$/.test(url) ? [] : ['wildcard can only do suffix matching']
}

function validateSubject(errors: FieldErrors, path: string, subject: Subject): void {
  const field = Object.hasOwn(SUBJECTS, subject.kind ?? '') ? SUBJECTS[subject.kind as keyof typeof SUBJECTS] : undefined
  if (!field) return void errors.push(notSupported(`${path}.kind`, subject.kind ?? '', Object.keys(SUBJECTS)))
  const { name = '', namespace = '' }: { readonly name?: string; readonly namespace?: string } = subject[field] ?? {}
  if (!subject[field]) errors.push(required(`${path}.${field}`, `${field} is required when subject kind is '${subject.kind}'`))
  else if (name === '') errors.push(required(`${path}.${field}.name`))
  if (field === 'serviceAccount' && subject[field]) {
    if (name !== '' && name !== '*') checkFormat(errors, `${path}.${field}.name`, name, dns1123SubdomainFaults)
    if (namespace === '') errors.push(required(`${path}.${field}.namespace`, 'must specify namespace for service account'))
    else checkFormat(errors, `${path}.${field}.namespace`, namespace, dns1123LabelFaults)
  }
  for (const [kind, other] of [
    ['ServiceAccount', 'serviceAccount'],
    ['User', 'user'],
    ['Group', 'group'],
  ] as const) {
    if (other !== field && subject[other]) {
      errors.push(forbidden(`${path}.${other}`, `${other} is forbidden when subject kind is not '${kind}'`))
    }
  }
}

/** Conditions of which the type alone is looked at. */
export function validateTypedConditions(errors: FieldErrors, conditions: readonly { readonly type?: string }[] = []): void {
  const types = new Set<string>()
  conditions.forEach(({ type = '' }, i) => {
    const path = `status.conditions[${i}].type`
    if (types.has(type)) errors.push(duplicate(path, type))
    types.add(type)
    if (type === '') errors.push(required(path))
  })
}
