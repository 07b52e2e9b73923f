//! Audit logs of clouds and services, and other JSON whose product its fields tell.

use besa_event::LogSource;

use super::super::record::Record;
use super::{Role, Scope};

/// A class that does not depend on a record's values beyond what chose it.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) scope: Scope,
    product: &'static str,
    services: &'static [&'static str],
    categories: &'static [&'static str],
}

impl Class {
    pub(super) fn source(&self) -> LogSource {
        LogSource::new(self.product, self.services, self.categories)
    }
}

const fn class(
    scope: Scope,
    product: &'static str,
    services: &'static [&'static str],
    categories: &'static [&'static str],
) -> Class {
    Class { scope, product, services, categories }
}

const CLOUDTRAIL: usize = 0;
const GCP: usize = 1;
const WORKSPACE_ADMIN: usize = 2;
const WORKSPACE_LOGIN: usize = 3;
const AZURE_ACTIVITY: usize = 4;
const AZURE_AUDIT: usize = 5;
const AZURE_PIM: usize = 6;
const AZURE_SIGNIN: usize = 7;
const AZURE_RISK: usize = 8;
const M365: usize = 9;
const M365_EXCHANGE: usize = 10;
const M365_SECURITY: usize = 11;
const OKTA: usize = 12;
const GITHUB: usize = 13;
const KUBERNETES: usize = 14;
const BITBUCKET: usize = 15;
const ONELOGIN: usize = 16;
const DUO: usize = 17;
const OPENCANARY: usize = 18;
const AUDITD: usize = 19;
const AUDITD_EXEC: usize = 20;

/// Log sources as SigmaHQ's rules name them. The order is that of the constants above.
pub(super) const CLASSES: &[Class] = &[
    class(Scope::Aws, "aws", &["cloudtrail"], &[]),
    class(Scope::Gcp, "gcp", &["gcp.audit"], &[]),
    class(Scope::Gcp, "gcp", &["google_workspace.admin"], &[]),
    class(Scope::Gcp, "gcp", &["google_workspace.login"], &[]),
    class(Scope::Azure, "azure", &["activitylogs"], &[]),
    class(Scope::Azure, "azure", &["auditlogs"], &[]),
    class(Scope::Azure, "azure", &["auditlogs", "pim"], &[]),
    class(Scope::Azure, "azure", &["signinlogs"], &[]),
    class(Scope::Azure, "azure", &["riskdetection", "pim"], &[]),
    class(Scope::M365, "m365", &["audit"], &[]),
    class(Scope::M365, "m365", &["audit", "exchange"], &[]),
    class(Scope::M365, "m365", &["audit", "threat_management", "threat_detection"], &[]),
    class(Scope::Any, "okta", &["okta"], &[]),
    class(Scope::Any, "github", &["audit"], &[]),
    class(Scope::Kubernetes, "kubernetes", &["audit"], &["application"]),
    class(Scope::Any, "bitbucket", &["audit"], &[]),
    class(Scope::Any, "onelogin", &["onelogin.events"], &[]),
    class(Scope::Any, "cisco", &["duo"], &[]),
    class(Scope::Any, "opencanary", &[], &["application"]),
    class(Scope::Auditd, "linux", &["auditd"], &[]),
    class(Scope::Auditd, "linux", &["auditd"], &["process_creation"]),
];

/// The row of [`CLASSES`] that a record belongs to.
pub(super) fn row(block: &[u8], record: &Record) -> Option<usize> {
    if record.has_all(&[Role::EventSource, Role::EventName])
        && record.has_any(&[Role::AwsRegion, Role::EventVersion, Role::UserIdentity])
    {
        return Some(CLOUDTRAIL);
    }
    if record.has(Role::GcpService) || record.has(Role::GcpMethod) {
        return Some(match record.text(block, Role::GcpService) {
            b"admin.googleapis.com" => WORKSPACE_ADMIN,
            b"login.googleapis.com" => WORKSPACE_LOGIN,
            _ => GCP,
        });
    }
    if record.has_all(&[Role::Operation, Role::Workload]) {
        return Some(match record.text(block, Role::Workload) {
            b"Exchange" => M365_EXCHANGE,
            b"SecurityComplianceCenter" => M365_SECURITY,
            _ => M365,
        });
    }
    if record.has(Role::AuditId) && record.has_any(&[Role::Verb, Role::RequestUri]) {
        return Some(KUBERNETES);
    }
    if let Some(row) = azure(block, record) {
        return Some(row);
    }
    if record.has_all(&[Role::ActorAlternateId, Role::EventType, Role::Outcome]) {
        return Some(OKTA);
    }
    if record.has(Role::BitbucketAction) {
        return Some(BITBUCKET);
    }
    if record.has_all(&[Role::OneLoginType, Role::OneLoginAccount]) {
        return Some(ONELOGIN);
    }
    if record.has_all(&[Role::LogType, Role::NodeId]) {
        return Some(OPENCANARY);
    }
    if record.has_all(&[Role::EventTypeEve, Role::DuoFactor]) {
        return Some(DUO);
    }
    if record.has_all(&[Role::Action, Role::Actor]) && record.has_any(&[Role::GithubId, Role::GithubOrg]) {
        return Some(GITHUB);
    }
    auditd(block, record)
}

/// Exports of Entra ID and Azure: diagnostic settings (by `category`), Sentinel's tables (by
/// `Type`), Microsoft Graph (by fields).
fn azure(block: &[u8], record: &Record) -> Option<usize> {
    let table = record.text(block, Role::Type);
    let has_operation = record.has_any(&[Role::OperationName, Role::ActivityDisplayName]);
    let is_azure = has_operation
        || record.has_any(&[
            Role::ResourceId,
            Role::ConditionalAccess,
            Role::RiskEventType,
            Role::AzureProperties,
        ]);
    if !is_azure {
        return None;
    }
    match table {
        b"AuditLogs" => return Some(audit(block, record)),
        b"AzureActivity" => return Some(AZURE_ACTIVITY),
        b"AADUserRiskEvents" => return Some(AZURE_RISK),
        _ if table.ends_with(b"SigninLogs") || table.ends_with(b"SignInLogs") => return Some(AZURE_SIGNIN),
        _ => {}
    }
    let category = record.text(block, Role::Category);
    if category.ends_with(b"SignInLogs") || record.has(Role::ConditionalAccess) {
        return Some(AZURE_SIGNIN);
    }
    if category == b"UserRiskEvents" || record.has(Role::RiskEventType) {
        return Some(AZURE_RISK);
    }
    if category == b"AuditLogs"
        || (has_operation && record.has_any(&[Role::InitiatedBy, Role::TargetResources]))
    {
        return Some(audit(block, record));
    }
    let is_activity = has_operation
        && record.has(Role::ResourceId)
        && record.has_any(&[Role::Caller, Role::Authorization, Role::AzureCorrelation, Role::Category]);
    is_activity.then_some(AZURE_ACTIVITY)
}

fn audit(block: &[u8], record: &Record) -> usize {
    if record.text(block, Role::LoggedBy) == b"PIM" { AZURE_PIM } else { AZURE_AUDIT }
}

/// Auditbeat, go-audit and Laurel, which write auditd's records as JSON.
fn auditd(block: &[u8], record: &Record) -> Option<usize> {
    let is_exec = record.has_any(&[Role::LaurelExec, Role::AuditdExec]);
    let kind = record.text(block, Role::Type);
    let names_record = matches!(
        kind,
        b"SYSCALL"
            | b"EXECVE"
            | b"PATH"
            | b"CWD"
            | b"PROCTITLE"
            | b"USER_CMD"
            | b"USER_LOGIN"
            | b"USER_AUTH"
            | b"SERVICE_START"
    );
    if record.has_any(&[Role::LaurelSyscall, Role::AuditdType, Role::LaurelExec]) || names_record {
        return Some(if is_exec || kind == b"EXECVE" { AUDITD_EXEC } else { AUDITD });
    }
    None
}
