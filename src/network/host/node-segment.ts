/**
 * Puts the segment of a machine's nodes in place: bridge, network namespaces, the links between, and the rule for what leaves. Doing it
 * twice is the same as once, so a server that was killed goes on over what it left.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MEMBER_LINK, segmentTableText, type NodeSegment, type SegmentMember } from '../node-segment.ts'
import { mustRun, run, type Namespace } from './command.ts'

const NAMESPACES = '/run/netns'
/** Ours, for all clusters of the machine. */
const STATE_ROOT = '/run/proa'
/**
 * `ip netns` makes its directory a mount at the first use. This says that it was a cluster's use, so that the last cluster takes the
 * mount away when nobody has a namespace there any more.
 */
const MOUNT_MARK = join(STATE_ROOT, 'netns-mounted')

export const namespacePath = (name: string): string => join(NAMESPACES, name)

/** Resolves with the namespaces that had to be made: what ran in an earlier one of the name is cut off. */
export async function startNodeSegment(segment: NodeSegment): Promise<readonly string[]> {
  const { bridge, gateway, mtu } = segment
  if (!(await hasLink({}, bridge))) await mustRun({}, ['ip', 'link', 'add', bridge, 'type', 'bridge'])
  await mustRun({}, ['ip', '-batch', '-'], [`address replace ${gateway} dev ${bridge}`, `link set ${bridge} mtu ${mtu} up`, ''].join('\n'))
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
  await mustRun({}, ['nft', '-f', '-'], segmentTableText(segment))
  const made: string[] = []
  for (const member of segment.members) {
    if (!(await isNamespace(member.namespace))) {
      await makeNamespace(member.namespace)
      made.push(member.namespace)
    }
    await connect(segment, member)
  }
  return made
}

/** A name may be left without its namespace: a file that a reboot did not remove. */
export const isNamespace = async (name: string): Promise<boolean> =>
  existsSync(namespacePath(name)) && (await run({ netns: namespacePath(name) }, ['true'])).code === 0

const isMounted = (path: string): boolean => readFileSync('/proc/self/mounts', 'utf8').includes(` ${path} `)

async function makeNamespace(name: string): Promise<void> {
  rmSync(namespacePath(name), { force: true })
  if (!isMounted(NAMESPACES)) {
    mkdirSync(STATE_ROOT, { recursive: true, mode: 0o711 })
    writeFileSync(MOUNT_MARK, '')
  }
  await mustRun({}, ['ip', 'netns', 'add', name])
}

async function connect({ bridge, gateway, mtu }: NodeSegment, { namespace, link, address }: SegmentMember): Promise<void> {
  const inside: Namespace = { netns: namespacePath(namespace) }
  if (!(await hasLink({}, link)) || !(await hasLink(inside, MEMBER_LINK))) {
    await removeLink(link)
    await mustRun({}, ['ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', MEMBER_LINK, 'netns', namespace])
  }
  await mustRun({}, ['ip', 'link', 'set', link, 'master', bridge, 'mtu', `${mtu}`, 'up'])
  // A node that asks the machine for a service may be led back to a pod of its own: a bridge sends nothing back where it came from.
  await mustRun({}, ['ip', 'link', 'set', link, 'type', 'bridge_slave', 'hairpin', 'on'])
  const commands = [
    'link set lo up',
    `address replace ${address} dev ${MEMBER_LINK}`,
    `link set ${MEMBER_LINK} mtu ${mtu} up`,
    `route replace default via ${gateway.split('/')[0]}`,
    '',
  ]
  await mustRun(inside, ['ip', '-batch', '-'], commands.join('\n'))
}

/** Removes links, namespaces and the rule. What runs in the namespaces should have ended: it would go on, cut off. */
export async function removeNodeSegment({ bridge, table, members }: NodeSegment): Promise<void> {
  for (const { link, namespace } of members) {
    await removeLink(link)
    if (!existsSync(namespacePath(namespace))) continue
    if (await isNamespace(namespace)) await mustRun({}, ['ip', 'netns', 'delete', namespace])
    else rmSync(namespacePath(namespace), { force: true })
  }
  await removeLink(bridge)
  await mustRun({}, ['nft', '-f', '-'], `table ip ${table} {}\ndelete table ip ${table}\n`)
  await removeMount()
}

async function removeMount(): Promise<void> {
  if (!existsSync(MOUNT_MARK) || readdirSync(NAMESPACES).length > 0) return
  if (isMounted(NAMESPACES)) await mustRun({}, ['umount', NAMESPACES])
  rmSync(MOUNT_MARK)
  if (readdirSync(STATE_ROOT).length === 0) rmdirSync(STATE_ROOT)
}

const hasLink = async (where: Namespace, link: string): Promise<boolean> =>
  (await run(where, ['ip', 'link', 'show', 'dev', link])).code === 0

async function removeLink(link: string): Promise<void> {
  const { code, stderr } = await run({}, ['ip', 'link', 'delete', link])
  if (code !== 0 && !stderr.includes('Cannot find device')) throw new Error(`cannot remove the link ${link}: ${stderr.trim()}`)
}
