//! A record of each shape that people really have: the log source, time, host and names.

use besa_event::Keep;
use besa_evidence::Limits;
use expect_test::{Expect, expect};

use crate::support::read;

#[allow(clippy::needless_pass_by_value, reason = "as expect-test is used")]
fn check(record: &str, expected: Expect) {
    let reading = read(Limits::default(), Keep::Everything, record.as_bytes());
    assert_eq!(reading.account.defects, [], "{record}");
    expected.assert_eq(&reading.text);
}

#[test]
fn windows_events_of_every_export_have_the_names_of_evtx() {
    check(
        r##"{"Event":{"#attributes":{"xmlns":"x"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon","Guid":"{5}"}},"EventID":{"#attributes":{"Qualifiers":""},"#text":1},"TimeCreated":{"#attributes":{"SystemTime":"2022-07-15T10:11:12.123456Z"}},"EventRecordID":7,"Correlation":null,"Execution":{"#attributes":{"ProcessID":1,"ThreadID":2}},"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc1","Security":{"#attributes":{"UserID":"S-1-5-18"}}},"EventData":{"Image":"C:\\a.exe","Rule Name":"-"}}}"##,
        expect![[r#"
            1 windows/sysmon/process_creation [2022-07-15T10:11:12.123456Z stated] host=pc1 Provider_Name=Microsoft-Windows-Sysmon Provider_Guid={5} EventID_Qualifiers= EventID=#1 TimeCreated_SystemTime=2022-07-15T10:11:12.123456Z EventRecordID=#7 Correlation=null Execution_ProcessID=#1 Execution_ThreadID=#2 Channel=Microsoft-Windows-Sysmon/Operational Computer=pc1 Security_UserID=S-1-5-18 Image=C:\\a.exe RuleName=-
        "#]],
    );
    check(
        r##"{"Event":{"System":{"Provider_attributes":{"Name":"Service Control Manager"},"EventID":7045,"Channel":"System","Computer":"pc1","TimeCreated_attributes":{"SystemTime":"2022-07-15T10:11:12Z"}},"EventData":{"Data":["a","b"]}}}"##,
        expect![[r#"
            1 windows/system/ [2022-07-15T10:11:12Z stated] host=pc1 Provider_Name=Service Control Manager EventID=#7045 Channel=System Computer=pc1 TimeCreated_SystemTime=2022-07-15T10:11:12Z Data=a Data=b
        "#]],
    );
    check(
        r##"{"Event":{"System":{"Provider":{"@Name":"Microsoft-Windows-Security-Auditing"},"EventID":"4688","Channel":"Security","Computer":"pc1"},"EventData":{"Data":[{"@Name":"NewProcessName","#text":"C:\\b.exe"},{"@Name":"Empty"},{"@Name":"CommandLine","#text":"b \"x\""}]}}}"##,
        expect![[r#"
            1 windows/security/process_creation [-] host=pc1 Provider_Name=Microsoft-Windows-Security-Auditing EventID=4688 Channel=Security Computer=pc1 NewProcessName=C:\\b.exe Empty= CommandLine=b \"x\" Image=C:\\b.exe
        "#]],
    );
    check(
        r##"{"Event":{"System":{"EventID":104,"Channel":"System"},"UserData":{"LogFileCleared":{"#attributes":{"xmlns":"y"},"SubjectUserName":"u","Channel":"Security"}}}}"##,
        expect![[r#"
            1 windows/system/ [-] host= EventID=#104 Channel=System SubjectUserName=u Channel=Security
        "#]],
    );
    check(
        r#"{"@timestamp":"2022-07-15T10:11:12.123Z","event":{"code":"1","provider":"Microsoft-Windows-Sysmon","category":["process"]},"winlog":{"channel":"Microsoft-Windows-Sysmon/Operational","provider_name":"Microsoft-Windows-Sysmon","event_id":"1","computer_name":"pc1","event_data":{"Company":"-"}},"process":{"executable":"C:\\a.exe","command_line":"a"},"host":{"name":"pc1"}}"#,
        expect![[r#"
            1 windows/sysmon/process_creation [2022-07-15T10:11:12.123Z stated] host=pc1 @timestamp=2022-07-15T10:11:12.123Z event.code=1 event.provider=Microsoft-Windows-Sysmon event.category=process winlog.channel=Microsoft-Windows-Sysmon/Operational winlog.provider_name=Microsoft-Windows-Sysmon winlog.event_id=1 winlog.computer_name=pc1 Company=- process.executable=C:\\a.exe process.command_line=a host=node host.name=pc1 Channel=Microsoft-Windows-Sysmon/Operational Provider_Name=Microsoft-Windows-Sysmon EventID=1 Computer=pc1 Image=C:\\a.exe CommandLine=a
        "#]],
    );
    check(
        r#"{"@timestamp":"2019-05-18T20:36:46.254Z","log_name":"Security","event_id":4688,"source_name":"Microsoft-Windows-Security-Auditing","computer_name":"dc","event_data":{"NewProcessName":"c.exe"},"beat":{"name":"WEC"}}"#,
        expect![[r#"
            1 windows/security/process_creation [2019-05-18T20:36:46.254Z stated] host=dc @timestamp=2019-05-18T20:36:46.254Z log_name=Security event_id=#4688 source_name=Microsoft-Windows-Security-Auditing computer_name=dc NewProcessName=c.exe beat.name=WEC Channel=Security Provider_Name=Microsoft-Windows-Security-Auditing EventID=#4688 Computer=dc Image=c.exe
        "#]],
    );
    check(
        r#"{"EventTime":"2020-09-21 18:58:30","Hostname":"ws5","EventType":"INFO","EventID":1,"SourceName":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon\/Operational","UtcTime":"2020-09-21 22:58:30.1","Image":"C:\\a.exe","host":"wec","@timestamp":"2020-09-21T22:58:32.000Z"}"#,
        expect![[r#"
            1 windows/sysmon/process_creation [2020-09-21T22:58:30.100Z stated] host=ws5 EventTime=2020-09-21 18:58:30 Hostname=ws5 EventType=INFO EventID=#1 SourceName=Microsoft-Windows-Sysmon Channel=Microsoft-Windows-Sysmon/Operational UtcTime=2020-09-21 22:58:30.1 Image=C:\\a.exe host=wec @timestamp=2020-09-21T22:58:32.000Z Provider_Name=Microsoft-Windows-Sysmon Computer=ws5
        "#]],
    );
    check(
        r#"{"TimeGenerated":"2022-05-13T08:54:06.347Z","Provider":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"w5","EventData":"{\"UtcTime\":\"2022-05-13T08:54:06.4580000Z\",\"EventType\":\"CreateKey\",\"Image\":\"C:\\\\x.exe\"}","EventID":12,"Type":"WindowsEvent"}"#,
        expect![[r#"
            1 windows/sysmon/registry_event,registry_add,registry_delete [2022-05-13T08:54:06.4580000Z stated] host=w5 TimeGenerated=2022-05-13T08:54:06.347Z Provider=Microsoft-Windows-Sysmon Channel=Microsoft-Windows-Sysmon/Operational Computer=w5 EventData={\"UtcTime\":\"2022-05-13T08:54:06.4580000Z\",\"EventType\":\"CreateKey\",\"Image\":\"C:\\\\x.exe\"} EventID=#12 type=WindowsEvent UtcTime=2022-05-13T08:54:06.4580000Z EventType=CreateKey Image=C:\\x.exe Provider_Name=Microsoft-Windows-Sysmon
        "#]],
    );
    check(
        r#"{"TimeGenerated":"2022-05-13T08:54:05.21Z","Computer":"w5","EventSourceName":"Microsoft-Windows-Security-Auditing","Channel":"Security","EventData":"\u003cEventData xmlns=\"http://x\"\u003e\r\n  \u003cData Name=\"NewProcessName\"\u003eC:\\a \u0026amp; b.exe\u003c/Data\u003e\r\n  \u003cData Name=\"Empty\" /\u003e\u003c/EventData\u003e","EventID":4688,"Type":"SecurityEvent"}"#,
        expect![[r#"
            1 windows/security/process_creation [2022-05-13T08:54:05.210Z stated] host=w5 TimeGenerated=2022-05-13T08:54:05.21Z Computer=w5 EventSourceName=Microsoft-Windows-Security-Auditing Channel=Security EventData=<EventData xmlns=\"http://x\">\r\n  <Data Name=\"NewProcessName\">C:\\a &amp; b.exe</Data>\r\n  <Data Name=\"Empty\" /></EventData> EventID=#4688 type=SecurityEvent NewProcessName=C:\\a & b.exe Empty= Provider_Name=Microsoft-Windows-Security-Auditing Image=C:\\a & b.exe
        "#]],
    );
    check(
        r#"{"preview":false,"offset":0,"result":{"_time":"2022-07-15T10:11:12.000+02:00","_raw":"<Event xmlns='x'><System><Provider Name='Microsoft-Windows-Sysmon'/><EventID>1</EventID><TimeCreated SystemTime='2022-07-15T08:11:12.5Z'/><Channel>Microsoft-Windows-Sysmon/Operational</Channel><Computer>pc1</Computer></System><EventData><Data Name='Image'>a.exe</Data></EventData></Event>","host":"fwd"}}"#,
        expect![[r#"
            1 windows/sysmon/process_creation [2022-07-15T08:11:12.500Z stated] host=pc1 preview=#false offset=#0 _time=2022-07-15T10:11:12.000+02:00 host=fwd Provider_Name=Microsoft-Windows-Sysmon EventID=1 TimeCreated_SystemTime=2022-07-15T08:11:12.5Z Channel=Microsoft-Windows-Sysmon/Operational Computer=pc1 Image=a.exe
        "#]],
    );
    check(
        r#"{"Id":4104,"LogName":"Microsoft-Windows-PowerShell/Operational","ProviderName":"Microsoft-Windows-PowerShell","MachineName":"pc1","TimeCreated":"\/Date(1657879872123)\/","Message":"x"}"#,
        expect![[r#"
            1 windows/powershell/ps_script [2022-07-15T10:11:12.123Z stated] host=pc1 Id=#4104 LogName=Microsoft-Windows-PowerShell/Operational ProviderName=Microsoft-Windows-PowerShell MachineName=pc1 TimeCreated=/Date(1657879872123)/ Message=x Channel=Microsoft-Windows-PowerShell/Operational Provider_Name=Microsoft-Windows-PowerShell EventID=#4104 Computer=pc1
        "#]],
    );
    check(
        r#"{"System":{"Provider":{"Name":"Microsoft-Windows-Security-Auditing"},"EventID":{"Value":4624},"TimeCreated":{"SystemTime":1657879872.5},"Channel":"Security","Computer":"pc1"},"EventData":{"TargetUserName":"u"},"Message":"m"}"#,
        expect![[r#"
            1 windows/security/ [2022-07-15T10:11:12.500Z stated] host=pc1 Provider_Name=Microsoft-Windows-Security-Auditing EventID=#4624 TimeCreated_SystemTime=#1657879872.5 Channel=Security Computer=pc1 TargetUserName=u Message=m
        "#]],
    );
    check(
        r##"{"Event":{"System":{"Provider":{"#attributes":{"Name":"Linux-Sysmon"}},"EventID":1,"Channel":"Linux-Sysmon/Operational","Computer":"l1"},"EventData":{"Image":"/bin/sh"}}}"##,
        expect![[r#"
            1 linux/sysmon/process_creation [-] host=l1 Provider_Name=Linux-Sysmon EventID=#1 Channel=Linux-Sysmon/Operational Computer=l1 Image=/bin/sh
        "#]],
    );
}

#[test]
fn cloud_and_service_audit_logs() {
    check(
        r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","arn":"arn:x"},"eventTime":"2022-07-15T10:11:12Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","awsRegion":"us-east-1","sourceIPAddress":"1.2.3.4","requestParameters":{"userName":"x"},"responseElements":null}"#,
        expect![[r#"
            1 aws/cloudtrail/ [2022-07-15T10:11:12Z stated] host= eventVersion=1.08 userIdentity.type=IAMUser userIdentity.arn=arn:x eventTime=2022-07-15T10:11:12Z eventSource=iam.amazonaws.com eventName=CreateUser awsRegion=us-east-1 sourceIPAddress=1.2.3.4 requestParameters=node requestParameters.userName=x responseElements=null
        "#]],
    );
    check(
        r#"{"Events":[{"EventId":"e","EventName":"ConsoleLogin","CloudTrailEvent":"{\"eventVersion\":\"1.08\",\"eventTime\":\"2022-07-15T10:11:12Z\",\"eventSource\":\"signin.amazonaws.com\",\"eventName\":\"ConsoleLogin\",\"awsRegion\":\"x\"}"}]}"#,
        expect![[r#"
            1 aws/cloudtrail/ [2022-07-15T10:11:12Z stated] host= EventID=e EventName=ConsoleLogin CloudTrailEvent={\"eventVersion\":\"1.08\",\"eventTime\":\"2022-07-15T10:11:12Z\",\"eventSource\":\"signin.amazonaws.com\",\"eventName\":\"ConsoleLogin\",\"awsRegion\":\"x\"} eventVersion=1.08 eventTime=2022-07-15T10:11:12Z eventSource=signin.amazonaws.com eventName=ConsoleLogin awsRegion=x
        "#]],
    );
    check(
        r#"{"protoPayload":{"methodName":"v1.compute.instances.insert","serviceName":"compute.googleapis.com","authorizationInfo":[{"permission":"p1","granted":true},{"permission":"p2"}]},"logName":"projects/x/logs/cloudaudit.googleapis.com%2Factivity","timestamp":"2022-07-15T10:11:12.123456789Z","receiveTimestamp":"2022-07-15T10:11:13Z"}"#,
        expect![[r#"
            1 gcp/gcp.audit/ [2022-07-15T10:11:12.123456789Z stated] host= protoPayload.methodName=v1.compute.instances.insert protoPayload.serviceName=compute.googleapis.com protoPayload.authorizationInfo.permission=p1 protoPayload.authorizationInfo.granted=#true protoPayload.authorizationInfo.permission=p2 logName=projects/x/logs/cloudaudit.googleapis.com%2Factivity timestamp=2022-07-15T10:11:12.123456789Z receiveTimestamp=2022-07-15T10:11:13Z gcp.audit.method_name=v1.compute.instances.insert data.protoPayload.methodName=v1.compute.instances.insert
        "#]],
    );
    check(
        r#"{"records":[{"time":"2022-07-15T10:11:12.1234567Z","resourceId":"/SUBSCRIPTIONS/X","operationName":"MICROSOFT.COMPUTE/VIRTUALMACHINES/WRITE","category":"Administrative","caller":"u","properties":{"a":1}}]}"#,
        expect![[r#"
            1 azure/activitylogs/ [2022-07-15T10:11:12.1234567Z stated] host= time=2022-07-15T10:11:12.1234567Z resourceId=/SUBSCRIPTIONS/X operationName=MICROSOFT.COMPUTE/VIRTUALMACHINES/WRITE category=Administrative caller=u properties.a=#1 properties.message=MICROSOFT.COMPUTE/VIRTUALMACHINES/WRITE
        "#]],
    );
    check(
        r#"{"TimeGenerated":"2021-08-02T13:29:25.983Z","OperationName":"Update application","Category":"ApplicationManagement","LoggedByService":"Core Directory","TargetResources":"[{\"id\":\"1\",\"modifiedProperties\":[{\"displayName\":\"KeyDescription\",\"newValue\":\"v\"}]}]","InitiatedBy":"{\"user\":{\"userPrincipalName\":\"p@x\"}}","ActivityDisplayName":"Update application","Type":"AuditLogs"}"#,
        expect![[r#"
            1 azure/auditlogs/ [2021-08-02T13:29:25.983Z stated] host= TimeGenerated=2021-08-02T13:29:25.983Z OperationName=Update application Category=ApplicationManagement LoggedByService=Core Directory TargetResources=[{\"id\":\"1\",\"modifiedProperties\":[{\"displayName\":\"KeyDescription\",\"newValue\":\"v\"}]}] InitiatedBy={\"user\":{\"userPrincipalName\":\"p@x\"}} ActivityDisplayName=Update application type=AuditLogs TargetResources.id=1 TargetResources.modifiedProperties.displayName=KeyDescription TargetResources.modifiedProperties.newValue=v InitiatedBy.user.userPrincipalName=p@x properties.message=Update application
        "#]],
    );
    check(
        r#"{"value":[{"id":"1","createdDateTime":"2022-07-15T10:11:12Z","userPrincipalName":"u@x","appDisplayName":"a","conditionalAccessStatus":"success","status":{"errorCode":0}}],"@odata.nextLink":"https://x"}"#,
        expect![[r#"
            1 azure/signinlogs/ [2022-07-15T10:11:12Z stated] host= id=1 createdDateTime=2022-07-15T10:11:12Z userPrincipalName=u@x appDisplayName=a conditionalAccessStatus=success status=node status.errorCode=#0
        "#]],
    );
    check(
        r#"{"CreationTime":"2022-07-15T10:11:12","Operation":"MailItemsAccessed","Workload":"Exchange","RecordType":50,"UserId":"u@x","ResultStatus":"Succeeded","Parameters":[{"Name":"A","Value":"b"}]}"#,
        expect![[r#"
            1 m365/audit,exchange/ [2022-07-15T10:11:12Z assumed] host= CreationTime=2022-07-15T10:11:12 Operation=MailItemsAccessed Workload=Exchange RecordType=#50 UserId=u@x ResultStatus=Succeeded Parameters.Name=A Parameters.Value=b eventSource=Exchange status=Succeeded
        "#]],
    );
    check(
        r#"{"actor":{"alternateId":"u@x","type":"User"},"displayMessage":"m","eventType":"user.session.start","outcome":{"result":"SUCCESS"},"published":"2022-07-15T10:11:12.123Z","target":[{"displayName":"d1"},{"displayName":"d2"}]}"#,
        expect![[r#"
            1 okta/okta/ [2022-07-15T10:11:12.123Z stated] host= actor.alternateId=u@x actor.type=User displayMessage=m eventType=user.session.start outcome.result=SUCCESS published=2022-07-15T10:11:12.123Z target.displayName=d1 target.displayName=d2
        "#]],
    );
    check(
        r#"{"@timestamp":1657879872123,"_document_id":"x","action":"repo.create","actor":"a","org":"o","created_at":1657879872123}"#,
        expect![[r#"
            1 github/audit/ [2022-07-15T10:11:12.123Z stated] host= @timestamp=#1657879872123 _document_id=x action=repo.create actor=a org=o created_at=#1657879872123
        "#]],
    );
    check(
        r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","stage":"ResponseComplete","requestURI":"/api","verb":"create","objectRef":{"resource":"pods","apiGroup":"apps"},"requestReceivedTimestamp":"2022-07-15T10:11:12.123456Z","stageTimestamp":"2022-07-15T10:11:12.2Z"}]}"#,
        expect![[r#"
            1 kubernetes/audit/application [2022-07-15T10:11:12.123456Z stated] host= kind=Event apiVersion=audit.k8s.io/v1 auditID=1 stage=ResponseComplete requestURI=/api verb=create objectRef.resource=pods objectRef.apiGroup=apps requestReceivedTimestamp=2022-07-15T10:11:12.123456Z stageTimestamp=2022-07-15T10:11:12.2Z apiGroup=apps
        "#]],
    );
    check(
        r#"{"dst_host":"1.1.1.1","dst_port":22,"local_time":"2022-07-15 10:11:12.123456","utc_time":"2022-07-15 10:11:12.123456","logdata":{"USERNAME":"root"},"logtype":4002,"node_id":"canary-1","src_host":"2.2.2.2"}"#,
        expect![[r#"
            1 opencanary//application [2022-07-15T10:11:12.123456Z assumed] host=canary-1 dst_host=1.1.1.1 dst_port=#22 local_time=2022-07-15 10:11:12.123456 utc_time=2022-07-15 10:11:12.123456 logdata.USERNAME=root logtype=#4002 node_id=canary-1 src_host=2.2.2.2
        "#]],
    );
    check(
        r#"{"ID":"1657879872.123:7","NODE":"l1","SYSCALL":{"syscall":"execve","exe":"/bin/sh","key":"k"},"EXECVE":{"ARGV":["sh","-c","id"]}}"#,
        expect![[r#"
            1 linux/auditd/process_creation [2022-07-15T10:11:12.123Z stated] host=l1 ID=1657879872.123:7 NODE=l1 SYSCALL=node SYSCALL.syscall=execve SYSCALL.exe=/bin/sh SYSCALL.key=k EXECVE.ARGV=sh EXECVE.ARGV=-c EXECVE.ARGV=id SYSCALL=execve exe=/bin/sh Image=/bin/sh
        "#]],
    );
}

#[test]
fn network_sensors_and_others() {
    check(
        r#"{"timestamp":"2024-01-01T00:00:00.123456+0100","flow_id":1,"event_type":"http","src_ip":"10.0.0.1","src_port":1,"dest_ip":"10.0.0.2","http":{"hostname":"example.org","url":"/x"}}"#,
        expect![[r#"
            1 suricata/http/proxy,webserver [2023-12-31T23:00:00.123456Z stated] host= timestamp=2024-01-01T00:00:00.123456+0100 flow_id=#1 event_type=http src_ip=10.0.0.1 src_port=#1 dest_ip=10.0.0.2 http.hostname=example.org http.url=/x cs-host=example.org c-uri=/x dst_ip=10.0.0.2
        "#]],
    );
    check(
        r#"{"ts":1588316619.797806,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"a.example","qtype_name":"A","answers":["1.1.1.1","2.2.2.2"]}"#,
        expect![[r#"
            1 zeek/dns/dns [2020-05-01T07:03:39.797806Z stated] host= ts=#1588316619.797806 uid=C1 id.orig_h=10.0.0.1 id.orig_p=#1 id.resp_h=10.0.0.2 id.resp_p=#53 proto=udp query=a.example qtype_name=A answers=1.1.1.1 answers=2.2.2.2 src_ip=10.0.0.1 dst_ip=10.0.0.2
        "#]],
    );
    check(
        r#"{"@stream":"conn","@system":"s","ts":1588316619.797806,"uid":"C1","id_orig_h":"10.0.0.1","id_orig_p":1,"id_resp_h":"10.0.0.2","id_resp_p":53,"conn_state":"SF"}"#,
        expect![[r#"
            1 zeek/conn/firewall,network_connection [2020-05-01T07:03:39.797806Z stated] host= @stream=conn @system=s ts=#1588316619.797806 uid=C1 id_orig_h=10.0.0.1 id_orig_p=#1 id_resp_h=10.0.0.2 id_resp_p=#53 conn_state=SF id.orig_h=10.0.0.1 id.resp_h=10.0.0.2 src_ip=10.0.0.1 dst_ip=10.0.0.2
        "#]],
    );
    check(
        r#"{"_path":"smb_files","ts":"2020-05-01T00:00:00Z","uid":"C1","id.orig_h":"10.0.0.1","action":"SMB::FILE_OPEN","name":"a"}"#,
        expect![[r#"
            1 zeek/smb_files/ [2020-05-01T00:00:00Z stated] host= _path=smb_files ts=2020-05-01T00:00:00Z uid=C1 id.orig_h=10.0.0.1 action=SMB::FILE_OPEN name=a src_ip=10.0.0.1
        "#]],
    );
    check(
        r#"{"@timestamp":"2022-07-15T10:11:12Z","event":{"category":"process","type":"start"},"host":{"os":{"type":"linux"},"name":"l1"},"process":{"executable":"/bin/sh","parent":{"executable":"/sbin/init"}},"user":{"name":"root"}}"#,
        expect![[r#"
            1 linux//process_creation [2022-07-15T10:11:12Z stated] host=l1 @timestamp=2022-07-15T10:11:12Z event.category=process event.type=start host=node host.os.type=linux host.name=l1 process.executable=/bin/sh process.parent.executable=/sbin/init User=node user.name=root Image=/bin/sh ParentImage=/sbin/init User=root
        "#]],
    );
    check(
        r#"{"took":1,"timed_out":false,"_shards":{"total":1},"hits":{"total":{"value":1},"max_score":null,"hits":[{"_index":"i","_id":"1","_source":{"Channel":"Security","EventID":4624,"Computer":"dc"}}]}}"#,
        expect![[r#"
            1 windows/security/ [-] host=dc _index=i _id=1 Channel=Security EventID=#4624 Computer=dc
        "#]],
    );
    check(
        r#"{"level":"info","msg":"x","n":[1,-2.5e3],"t":true,"z":null,"o":{},"a":[],"aa":[[1,2],[3]]}"#,
        expect![[r#"
            1 // [-] host= level=info msg=x n=#1 n=#-2.5e3 t=#true z=null aa=#1 aa=#2 aa=#3
        "#]],
    );
}
