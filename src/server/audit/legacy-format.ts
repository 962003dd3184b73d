/** An audit event as a line of text, as upstream's servers of long ago told it (pkg/audit/format.go). */
import type { UserInfo } from '../../api/generated/authentication/v1.ts'
import type { AuditEvent } from './audit.ts'

const quoted = (text: string): string => JSON.stringify(text)
const listed = (texts: readonly string[] | undefined): string | undefined => texts?.map(quoted).join(',')

export function legacyLine(event: AuditEvent): string {
  const {
    auditID,
    stage,
    verb,
    userAgent,
    requestURI,
    requestReceivedTimestamp,
    sourceIPs,
    user,
    impersonatedUser,
    objectRef,
    responseStatus,
  } = event as AuditEvent & {
    readonly verb: string
    readonly userAgent?: string
    readonly requestURI: string
    readonly requestReceivedTimestamp: string
    readonly sourceIPs?: readonly string[]
    readonly user: UserInfo
    readonly impersonatedUser?: UserInfo
    readonly objectRef?: { readonly namespace?: string }
    readonly responseStatus?: { readonly code?: number }
  }
  const fields: Readonly<Record<string, string>> = {
    id: auditID,
    stage,
    ip: sourceIPs?.[0] ?? '<unknown>',
    method: verb,
    user: user.username || '<none>',
    groups: (user.username && user.groups?.length ? listed(user.groups) : undefined) ?? '<none>',
    as: impersonatedUser ? (impersonatedUser.username ?? '') : '<self>',
    asgroups: listed(impersonatedUser?.groups) ?? '<lookup>',
    'user-agent': userAgent ?? '',
    namespace: objectRef?.namespace || '<none>',
    uri: requestURI,
    response: responseStatus ? String(responseStatus.code ?? 0) : '<deferred>',
  }
  return `${nanoseconds(requestReceivedTimestamp)} AUDIT: ${Object.entries(fields)
    .map(([name, value]) => `${name}=${quoted(value)}`)
    .join(' ')}`
}

/** Go's RFC3339Nano leaves out zeros at the end. */
const nanoseconds = (timestamp: string): string => timestamp.replace(/\.?0*Z$/, 'Z')
