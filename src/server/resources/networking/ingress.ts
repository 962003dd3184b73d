/** Ingresses: HTTP from outside to services, by host and path. */
import type { Ingress, IngressBackend, IngressRule } from '../../../api/generated/networking/v1.ts'
import {
  dns1123LabelFaults,
  dns1123SubdomainFaults,
  pathSegmentFaults,
  portNameFaults,
  portNumberFaults,
  wildcardDns1123SubdomainFaults,
} from '../../../api/names.ts'
import type { FieldError } from '../../../api/status.ts'
import { defineResource } from '../../resource.ts'
import { ipProblem, isIP } from '../addresses.ts'
import { loadBalancerText, nameToAge, text } from '../columns.ts'
import { checkFormat, checkOneOf, invalid, required, type FieldErrors } from '../rules.ts'

const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'
const PATH_TYPES = ['Exact', 'ImplementationSpecific', 'Prefix']
const INVALID_PARTS = ['//', '/./', '/../', '%2f', '%2F']
const INVALID_ENDS = ['/..', '/.']
const SHOWN_HOSTS = 3

/** Upstream counts the rules beyond the third, named or not. */
function hosts(rules: readonly IngressRule[]): string {
  const named: string[] = []
  let hasMore = false
  for (const { host } of rules) {
    if (named.length === SHOWN_HOSTS) hasMore = true
    else if (host) named.push(host)
  }
  if (named.length === 0) return '*'
  return hasMore ? `${named.join(',')} + ${rules.length - SHOWN_HOSTS} more...` : named.join(',')
}

/** Of an object that a path of the API could name. */
export function validateReference(
  errors: FieldErrors,
  path: string,
  { apiGroup, kind, name }: { readonly apiGroup?: string; readonly kind?: string; readonly name?: string },
): void {
  if (apiGroup !== undefined) checkFormat(errors, `${path}.apiGroup`, apiGroup, dns1123SubdomainFaults)
  for (const [field, value] of Object.entries({ kind, name })) {
    if (!value) errors.push(required(`${path}.${field}`))
    else checkFormat(errors, `${path}.${field}`, value, pathSegmentFaults)
  }
}

function validateBackend(errors: FieldErrors, path: string, backend: IngressBackend | undefined): void {
  const { resource, service } = backend ?? {}
  if (resource) {
    if (service) return void errors.push(invalid(path, '', 'cannot set both resource and service backends'))
    validateReference(errors, `${path}.resource`, resource)
    return
  }
  if (!service) {
    errors.push(invalid(path, '', 'resource or service backend is required'))
    return
  }
  if (!service.name) errors.push(required(`${path}.service.name`))
  else checkFormat(errors, `${path}.service.name`, service.name, dns1123LabelFaults)
  const { name, number } = service.port ?? {}
  if (name && number) errors.push(invalid(path, '', 'cannot set both port name & port number'))
  else if (name) checkFormat(errors, `${path}.service.port.name`, name, portNameFaults)
  else if (number) for (const fault of portNumberFaults(number)) errors.push(invalid(`${path}.service.port.number`, number, fault))
  else errors.push(required(path, 'port name or number is required'))
}

function validateHost(errors: FieldErrors, path: string, host: string): void {
  if (isIP(host)) errors.push(invalid(path, host, 'must be a DNS name, not an IP address'))
  checkFormat(errors, path, host, host.includes('*') ? wildcardDns1123SubdomainFaults : dns1123SubdomainFaults)
}

function validateRule(errors: FieldErrors, path: string, { host, http }: IngressRule): void {
  if (host) validateHost(errors, `${path}.host`, host)
  if (!http) return
  if (!http.paths?.length) errors.push(required(`${path}.http.paths`))
  http.paths?.forEach((entry, i) => {
    const at = `${path}.http.paths[${i}]`
    const target = entry.path ?? ''
    if (entry.pathType === undefined) return void errors.push(required(`${at}.pathType`, 'pathType must be specified'))
    if (entry.pathType === 'ImplementationSpecific') {
      if (target && !target.startsWith('/')) errors.push(invalid(`${at}.path`, target, 'must be an absolute path'))
    } else if (PATH_TYPES.includes(entry.pathType)) {
      if (!target.startsWith('/')) errors.push(invalid(`${at}.path`, target, 'must be an absolute path'))
      for (const part of INVALID_PARTS) if (target.includes(part)) errors.push(invalid(`${at}.path`, target, `must not contain '${part}'`))
      for (const end of INVALID_ENDS) if (target.endsWith(end)) errors.push(invalid(`${at}.path`, target, `cannot end with '${end}'`))
    } else checkOneOf(errors, `${at}.pathType`, entry.pathType, PATH_TYPES)
    validateBackend(errors, `${at}.backend`, entry.backend)
  })
}

function validate({ spec }: Ingress): readonly FieldError[] {
  const errors: FieldErrors = []
  const rules = spec?.rules ?? []
  if (rules.length === 0 && !spec?.defaultBackend)
    errors.push(invalid('spec', spec?.rules, 'either `defaultBackend` or `rules` must be specified'))
  if (spec?.defaultBackend) validateBackend(errors, 'spec.defaultBackend', spec.defaultBackend)
  rules.forEach((rule, i) => validateRule(errors, `spec.rules[${i}]`, rule))
  spec?.tls?.forEach(({ hosts: names, secretName }, i) => {
    names?.forEach((name, j) =>
      checkFormat(errors, `spec.tls[${i}].hosts[${j}]`, name, name.includes('*') ? wildcardDns1123SubdomainFaults : dns1123SubdomainFaults),
    )
    if (secretName) checkFormat(errors, `spec.tls[${i}].secretName`, secretName, dns1123SubdomainFaults)
  })
  if (spec?.ingressClassName !== undefined) checkFormat(errors, 'spec.ingressClassName', spec.ingressClassName, dns1123SubdomainFaults)
  return errors
}

export const ingresses = defineResource({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'Ingress',
  columns: nameToAge(
    text('Class', ({ spec }: Ingress) => spec?.ingressClassName ?? '<none>'),
    text('Hosts', ({ spec }: Ingress) => hosts(spec?.rules ?? [])),
    text('Address', ({ status }: Ingress) => loadBalancerText(status?.loadBalancer?.ingress)),
    text('Ports', ({ spec }: Ingress) => (spec?.tls?.length ? '80, 443' : '80')),
  ),
  prepareForCreate: (ingress) => ({ ...ingress, status: { loadBalancer: {} } }),
  validate,
  validateCreate({ metadata, spec }) {
    const annotation = metadata?.annotations?.[CLASS_ANNOTATION]
    if (annotation === undefined || spec?.ingressClassName === undefined || annotation === spec.ingressClassName) return []
    return [invalid(`metadata.annotations.${CLASS_ANNOTATION}`, annotation, `must match \`ingressClassName\` when both are specified`)]
  },
  validateStatusUpdate({ status }) {
    const errors: FieldErrors = []
    status?.loadBalancer?.ingress?.forEach(({ ip, hostname }, i) => {
      const at = `status.loadBalancer.ingress[${i}]`
      const problem = ip ? ipProblem(ip) : undefined
      if (problem !== undefined) errors.push(invalid(`${at}.ip`, ip, problem))
      if (!hostname) return
      checkFormat(errors, `${at}.hostname`, hostname, dns1123SubdomainFaults)
      if (isIP(hostname)) errors.push(invalid(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'))
    })
    return errors
  },
  warnings: ({ metadata }) =>
    metadata?.annotations?.[CLASS_ANNOTATION] === undefined
      ? []
      : [`annotation "${CLASS_ANNOTATION}" is deprecated, please use 'spec.ingressClassName' instead`],
})
