//! The built-in rules, part of the binary: what a hunt uses without `--rules`.

/// Where findings say that a built-in rule comes from.
pub(crate) const ORIGIN: &str = "builtin";

/// File name and text of each rule file, sorted by name. A test holds the list against the folder.
#[rustfmt::skip]
pub(crate) const PACK: &[(&str, &str)] = &[
    ("corr_exchange_ews_volume.yml", include_str!("../rules/corr_exchange_ews_volume.yml")),
    ("corr_exchange_mailbox_search_burst.yml", include_str!("../rules/corr_exchange_mailbox_search_burst.yml")),
    ("corr_exchange_recipient_enumeration.yml", include_str!("../rules/corr_exchange_recipient_enumeration.yml")),
    ("corr_rdp_builtin_administrator_fan_out.yml", include_str!("../rules/corr_rdp_builtin_administrator_fan_out.yml")),
    ("corr_roadsweep_spread.yml", include_str!("../rules/corr_roadsweep_spread.yml")),
    ("corr_sharepoint_exploit_then_shell.yml", include_str!("../rules/corr_sharepoint_exploit_then_shell.yml")),
    ("corr_sharepoint_webshell_then_shell.yml", include_str!("../rules/corr_sharepoint_webshell_then_shell.yml")),
    ("corr_taskkill_loop.yml", include_str!("../rules/corr_taskkill_loop.yml")),
    ("driver_load_win_rawdisk_rwdsk.yml", include_str!("../rules/driver_load_win_rawdisk_rwdsk.yml")),
    ("file_event_win_app_web_bckwssht.yml", include_str!("../rules/file_event_win_app_web_bckwssht.yml")),
    ("file_event_win_homeland_justice_webshell.yml", include_str!("../rules/file_event_win_homeland_justice_webshell.yml")),
    ("file_event_win_rawdisk_rwdsk.yml", include_str!("../rules/file_event_win_rawdisk_rwdsk.yml")),
    ("file_event_win_roadsweep_staging.yml", include_str!("../rules/file_event_win_roadsweep_staging.yml")),
    ("file_event_win_sharepoint_layouts_page.yml", include_str!("../rules/file_event_win_sharepoint_layouts_page.yml")),
    ("file_event_win_startup_batch.yml", include_str!("../rules/file_event_win_startup_batch.yml")),
    ("image_load_win_app_web_bckwssht.yml", include_str!("../rules/image_load_win_app_web_bckwssht.yml")),
    ("image_load_win_kuwait_telecommunications_signature.yml", include_str!("../rules/image_load_win_kuwait_telecommunications_signature.yml")),
    ("posh_ps_exchange_application_impersonation.yml", include_str!("../rules/posh_ps_exchange_application_impersonation.yml")),
    ("posh_ps_exchange_new_mailbox_search.yml", include_str!("../rules/posh_ps_exchange_new_mailbox_search.yml")),
    ("proc_access_win_lsass_from_writable_folder.yml", include_str!("../rules/proc_access_win_lsass_from_writable_folder.yml")),
    ("proc_creation_win_advanced_port_scanner.yml", include_str!("../rules/proc_creation_win_advanced_port_scanner.yml")),
    ("proc_creation_win_app_pool_to_system.yml", include_str!("../rules/proc_creation_win_app_pool_to_system.yml")),
    ("proc_creation_win_cl_outside_visual_studio.yml", include_str!("../rules/proc_creation_win_cl_outside_visual_studio.yml")),
    ("proc_creation_win_defender_weakened_by_wmi.yml", include_str!("../rules/proc_creation_win_defender_weakened_by_wmi.yml")),
    ("proc_creation_win_disable_defender_tool.yml", include_str!("../rules/proc_creation_win_disable_defender_tool.yml")),
    ("proc_creation_win_impacket_semi_interactive_shell.yml", include_str!("../rules/proc_creation_win_impacket_semi_interactive_shell.yml")),
    ("proc_creation_win_lsass_dump_comsvcs_procdump.yml", include_str!("../rules/proc_creation_win_lsass_dump_comsvcs_procdump.yml")),
    ("proc_creation_win_mellona.yml", include_str!("../rules/proc_creation_win_mellona.yml")),
    ("proc_creation_win_mimikatz_commands.yml", include_str!("../rules/proc_creation_win_mimikatz_commands.yml")),
    ("proc_creation_win_programdata_microsoft_windows.yml", include_str!("../rules/proc_creation_win_programdata_microsoft_windows.yml")),
    ("proc_creation_win_roadsweep_arguments.yml", include_str!("../rules/proc_creation_win_roadsweep_arguments.yml")),
    ("proc_creation_win_roadsweep_goxml.yml", include_str!("../rules/proc_creation_win_roadsweep_goxml.yml")),
    ("proc_creation_win_shadow_copies_deleted_quietly.yml", include_str!("../rules/proc_creation_win_shadow_copies_deleted_quietly.yml")),
    ("proc_creation_win_sharepoint_worker_shell.yml", include_str!("../rules/proc_creation_win_sharepoint_worker_shell.yml")),
    ("proc_creation_win_wallpaper_refreshed_by_batch.yml", include_str!("../rules/proc_creation_win_wallpaper_refreshed_by_batch.yml")),
    ("registry_set_defender_disabled.yml", include_str!("../rules/registry_set_defender_disabled.yml")),
    ("registry_set_wallpaper_goxml.yml", include_str!("../rules/registry_set_wallpaper_goxml.yml")),
    ("web_exchange_ews_bulk_download.yml", include_str!("../rules/web_exchange_ews_bulk_download.yml")),
    ("web_exchange_large_post.yml", include_str!("../rules/web_exchange_large_post.yml")),
    ("web_sharepoint_cve_2019_0604.yml", include_str!("../rules/web_sharepoint_cve_2019_0604.yml")),
    ("web_sharepoint_homeland_justice_webshell.yml", include_str!("../rules/web_sharepoint_homeland_justice_webshell.yml")),
    ("win_exchange_application_impersonation.yml", include_str!("../rules/win_exchange_application_impersonation.yml")),
    ("win_exchange_mailbox_export.yml", include_str!("../rules/win_exchange_mailbox_export.yml")),
    ("win_exchange_new_mailbox_search.yml", include_str!("../rules/win_exchange_new_mailbox_search.yml")),
    ("win_exchange_powerful_role_group.yml", include_str!("../rules/win_exchange_powerful_role_group.yml")),
    ("win_security_event_log_cleared.yml", include_str!("../rules/win_security_event_log_cleared.yml")),
    ("win_security_rdp_builtin_administrator.yml", include_str!("../rules/win_security_rdp_builtin_administrator.yml")),
    ("win_security_roadsweep_mutex.yml", include_str!("../rules/win_security_roadsweep_mutex.yml")),
    ("win_security_share_encryptor_copied.yml", include_str!("../rules/win_security_share_encryptor_copied.yml")),
    ("win_system_event_log_cleared.yml", include_str!("../rules/win_system_event_log_cleared.yml")),
    ("win_system_service_admin_share_upload.yml", include_str!("../rules/win_system_service_admin_share_upload.yml")),
    ("win_system_service_impacket_exec.yml", include_str!("../rules/win_system_service_impacket_exec.yml")),
    ("win_system_service_rawdisk3.yml", include_str!("../rules/win_system_service_rawdisk3.yml")),
];

#[cfg(test)]
mod tests {
    use super::PACK;

    #[test]
    fn every_rule_file_is_in_the_pack() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".yml"))
            .collect();
        files.sort();
        assert_eq!(PACK.iter().map(|(name, _)| *name).collect::<Vec<_>>(), files);
    }
}
