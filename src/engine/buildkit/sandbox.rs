//! The frontend's attributes for what `RUN` instructions run in.
//!
//! Owns their names and forms (BuildKit, `frontend/dockerui/config.go`), and the address that `host-gateway` means.

use bollard_buildkit_proto::moby::buildkit::v1::ListWorkersRequest;
use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use tonic::transport::Channel;

use crate::base::error::permanent;
use crate::engine::Sandbox;
use crate::engine::sandbox::HostAddress;

/// The label with which a daemon reports its address as its containers see it (moby, `builder-next/worker/label`).
const GATEWAY_LABEL: &str = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";

/// Returns the attributes for a sandbox. Calls the engine only if `host-gateway` is among the addresses.
///
/// # Errors
/// Returns an error if the engine does not report the address that `host-gateway` means.
pub(super) async fn attributes(
    sandbox: &Sandbox,
    control: ControlClient<Channel>,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let is_gateway = |(_, address): (&str, HostAddress)| address == HostAddress::HostGateway;
    let gateway = match sandbox.host_addresses().any(is_gateway) {
        true => gateway(control).await?,
        false => String::new(),
    };
    let network = sandbox.own_network().map(|mode| mode.to_string());
    let shm_size = sandbox.own_shm_size().map(|size| size.bytes().to_string());
    let list = |words: Vec<String>| Some(words.join(",")).filter(|it| !it.is_empty());
    let hosts = sandbox.host_addresses().map(|(name, address)| match address {
        HostAddress::Ip(address) => format!("{name}={address}"),
        HostAddress::HostGateway => format!("{name}={gateway}"),
    });
    let all = [
        ("force-network-mode", network),
        ("shm-size", shm_size),
        ("ulimit", list(sandbox.ulimit_words().collect())),
        ("add-hosts", list(hosts.collect())),
    ];
    Ok(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// Returns the address of the engine's machine as its containers see it.
async fn gateway(mut control: ControlClient<Channel>) -> anyhow::Result<String> {
    let workers = control.list_workers(ListWorkersRequest { filter: Vec::new() }).await;
    let records = workers.map(|workers| workers.into_inner().record).unwrap_or_default();
    let address = records.iter().find_map(|it| it.labels.get(GATEWAY_LABEL));
    address.filter(|it| !it.is_empty()).cloned().ok_or_else(|| {
        let message = "the engine does not report the address that `host-gateway` means";
        permanent(message).hint("use an IP address, or a newer engine").into()
    })
}
