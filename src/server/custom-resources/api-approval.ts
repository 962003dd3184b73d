/** Groups of the Kubernetes community are kept for approved APIs (KEP-1111). */
import type { CustomResourceDefinition } from '../../api/generated/apiextensions/v1.ts'

export const APPROVED_ANNOTATION = 'api-approved.kubernetes.io'

export const isProtectedGroup = (group: string): boolean => /^(?:.*\.)?(?:k8s|kubernetes)\.io$/.test(group)

export interface Approval {
  readonly state: 'approved' | 'bypassed' | 'missing' | 'invalid'
  readonly reason: string
}

const PROPOSAL = 'https://github.com/kubernetes/enhancements/pull/1111'

export function approvalOf({ metadata }: CustomResourceDefinition): Approval {
  const value = metadata?.annotations?.[APPROVED_ANNOTATION] ?? ''
  const must = `protected groups must have approval annotation ${JSON.stringify(APPROVED_ANNOTATION)}`
  if (value === '') return { state: 'missing', reason: `${must}, see ${PROPOSAL}` }
  if (value.startsWith('unapproved')) return { state: 'bypassed', reason: `not approved: ${JSON.stringify(value)}` }
  if (/^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/\s]+/.test(value)) return { state: 'approved', reason: `approved in ${value}` }
  return { state: 'invalid', reason: `${must} with either a URL or a reason starting with "unapproved", see ${PROPOSAL}` }
}
