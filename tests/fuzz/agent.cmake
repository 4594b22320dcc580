skerry_fuzz(agent_config LINK skerry::agent_core)
skerry_fuzz(blob_frame LINK skerry::agent_core)
skerry_fuzz(blob_http LINK skerry::agent_core)
skerry_fuzz(openai_request LINK skerry::agent_core)
