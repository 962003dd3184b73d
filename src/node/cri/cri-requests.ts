/** Our words to CRI's: pure translation of what the node agent asks for into messages. */
import type { ContainerConfig, LinuxResources, SandboxConfig, SecurityContext } from '../container-runtime.ts'

type Message = Record<string, unknown>

const int64 = (value: number | undefined): Message | undefined => (value === undefined ? undefined : { value })

function namespaces(security: SecurityContext): Message {
  const { network, pid, ipc, targetContainerId } = security.namespaces
  return targetContainerId ? { network, pid: 'TARGET', ipc, target_id: targetContainerId } : { network, pid, ipc }
}

function seccomp(security: SecurityContext): Message {
  return { profile_type: security.seccomp.type, localhost_ref: security.seccomp.localhostRef ?? '' }
}

export function sandboxMessage(config: SandboxConfig): Message {
  const { security } = config.linux
  return {
    metadata: config.metadata,
    hostname: config.hostname,
    log_directory: config.logDirectory,
    dns_config: config.dns,
    port_mappings: config.portMappings.map((mapping) => ({
      protocol: mapping.protocol,
      container_port: mapping.containerPort,
      host_port: mapping.hostPort,
      host_ip: mapping.hostIP,
    })),
    labels: config.labels,
    annotations: config.annotations,
    linux: {
      cgroup_parent: config.linux.cgroupParent,
      sysctls: config.linux.sysctls,
      security_context: {
        namespace_options: namespaces(security),
        run_as_user: int64(security.runAsUser),
        run_as_group: int64(security.runAsGroup),
        readonly_rootfs: security.readonlyRootfs,
        supplemental_groups: security.supplementalGroups,
        privileged: security.privileged,
        seccomp: seccomp(security),
      },
    },
  }
}

export function resourcesMessage(resources: LinuxResources): Message {
  return {
    cpu_period: resources.cpuPeriod,
    cpu_quota: resources.cpuQuota,
    cpu_shares: resources.cpuShares,
    memory_limit_in_bytes: resources.memoryLimitBytes,
    oom_score_adj: resources.oomScoreAdj,
    ...(resources.cpus === undefined ? {} : { cpuset_cpus: resources.cpus }),
    hugepage_limits: (resources.hugePageLimits ?? []).map(({ pageSize, limitBytes }) => ({ page_size: pageSize, limit: limitBytes })),
  }
}

export function containerMessage(config: ContainerConfig): Message {
  const { security } = config
  return {
    metadata: config.metadata,
    image: { image: config.imageId },
    command: config.command,
    args: config.args,
    working_dir: config.workingDir,
    envs: config.env,
    mounts: config.mounts.map((mount) => ({
      container_path: mount.containerPath,
      host_path: mount.hostPath,
      readonly: mount.readonly,
      propagation: `PROPAGATION_${mount.propagation}`,
      ...(mount.image ? { image: { image: mount.image.id }, image_sub_path: mount.image.subPath } : {}),
    })),
    devices: (config.devices ?? []).map((device) => ({
      container_path: device.containerPath,
      host_path: device.hostPath,
      permissions: device.permissions,
    })),
    CDI_devices: (config.cdiDevices ?? []).map((name) => ({ name })),
    labels: config.labels,
    annotations: config.annotations,
    log_path: config.logPath,
    stdin: config.stdin,
    stdin_once: config.stdinOnce,
    tty: config.tty,
    linux: {
      resources: resourcesMessage(config.resources),
      security_context: {
        capabilities: { add_capabilities: security.addCapabilities, drop_capabilities: security.dropCapabilities },
        privileged: security.privileged,
        namespace_options: namespaces(security),
        run_as_user: int64(security.runAsUser),
        run_as_group: int64(security.runAsGroup),
        run_as_username: security.runAsUsername ?? '',
        readonly_rootfs: security.readonlyRootfs,
        supplemental_groups: security.supplementalGroups,
        no_new_privs: security.noNewPrivileges,
        masked_paths: security.maskedPaths,
        readonly_paths: security.readonlyPaths,
        seccomp: seccomp(security),
      },
    },
  }
}
