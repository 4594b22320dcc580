skerry_fuzz(tuf_metadata LINK skerry::security)
skerry_fuzz(policy LINK skerry::security)
skerry_fuzz(audit_segment LINK skerry::security)
skerry_fuzz(json LINK skerry::common)
