/** What the checks of pods share: their lists of what is allowed, who of a pod does what, and how that is told. */
import type { Container, PodSpec, Volume } from '../../../api/generated/core/v1.ts'

export const ALLOWED_CAPABILITIES: ReadonlySet<string> = new Set(
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(' '),
)

const seLinuxTypes = ['', 'container_t', 'container_init_t', 'container_kvm_t']

/** By the minor version from which they count. */
export const ALLOWED_SELINUX_TYPES = { 0: new Set(seLinuxTypes), 31: new Set([...seLinuxTypes, 'container_engine_t']) } as const

const sysctlsAt0 =
  'kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.tcp_syncookies net.ipv4.ping_group_range net.ipv4.ip_unprivileged_port_start'.split(
    ' ',
  )
const sysctlsAt27 = [...sysctlsAt0, 'net.ipv4.ip_local_reserved_ports']
const sysctlsAt29 = [
  ...sysctlsAt27,
  ...['tcp_keepalive_time', 'tcp_fin_timeout', 'tcp_keepalive_intvl', 'tcp_keepalive_probes'].map((name) => `net.ipv4.${name}`),
]
const sysctlsAt32 = [...sysctlsAt29, 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem']

export const ALLOWED_SYSCTLS = {
  0: new Set(sysctlsAt0),
  27: new Set(sysctlsAt27),
  29: new Set(sysctlsAt29),
  32: new Set(sysctlsAt32),
} as const

export const ALLOWED_VOLUMES: readonly (keyof Volume)[] = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
]

export const RESTRICTED_VOLUMES: readonly (keyof Volume)[] = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'gitRepo',
  'nfs',
  'iscsi',
  'glusterfs',
  'rbd',
  'flexVolume',
  'cinder',
  'cephfs',
  'flocker',
  'fc',
  'azureFile',
  'vsphereVolume',
  'quobyte',
  'azureDisk',
  'photonPersistentDisk',
  'portworxVolume',
  'scaleIO',
  'storageos',
]

/** All containers of a pod in the order in which they are told. */
export const visited = ({ initContainers = [], containers, ephemeralContainers = [] }: PodSpec): readonly Container[] => [
  ...initContainers,
  ...(containers ?? []),
  ...(ephemeralContainers as readonly Container[]),
]

/** Their names. */
export const containersWhere = (spec: PodSpec, is: (container: Container) => boolean): readonly string[] =>
  visited(spec)
    .filter(is)
    .map(({ name }) => name)

export const quoted = (texts: readonly string[]): string => texts.map((text) => `"${text}"`).join(', ')

export const counted = (noun: string, count: number): string => (count === 1 ? noun : `${noun}s`)

/** `container "a"`, `containers "a", "b"` */
export const containersText = (names: readonly string[]): string => `${counted('container', names.length)} ${quoted(names)}`

/** The parts that set something: "pod", `containers "a", "b"`. */
export const setters = (isPod: boolean, containers: readonly string[]): readonly string[] => [
  ...(isPod ? ['pod'] : []),
  ...(containers.length > 0 ? [containersText(containers)] : []),
]

export const sorted = (texts: ReadonlySet<string>): readonly string[] => [...texts].toSorted()
