// Manifests and trust metadata.

#include "store_impl.hpp"

namespace skerry::controller {
namespace {

constexpr const char* kManifestColumns =
    "SELECT tenant_id, target, digest, length, release_counter, published, content, variants, "
    "size_bytes, at_ms FROM manifests ";

ManifestRecord read_manifest(const soci::row& row) {
  ManifestRecord manifest;
  manifest.tenant_id = row.get<std::string>(0);
  manifest.target = row.get<std::string>(1);
  manifest.digest = row.get<std::string>(2);
  manifest.length = row.get<long long>(3);
  manifest.release_counter = row.get<long long>(4);
  manifest.published = row.get<long long>(5) != 0;
  manifest.content = row.get<std::string>(6);
  manifest.variants = row.get<std::string>(7);
  manifest.size_bytes = row.get<long long>(8);
  manifest.at_ms = row.get<long long>(9);
  return manifest;
}

constexpr const char* kMetadataColumns =
    "SELECT repository, name, role, version, content FROM trust_metadata ";

MetadataRecord read_metadata(const soci::row& row) {
  MetadataRecord file;
  file.repository = row.get<std::string>(0);
  file.name = row.get<std::string>(1);
  file.role = row.get<std::string>(2);
  file.version = row.get<long long>(3);
  file.content = row.get<std::string>(4);
  return file;
}

}  // namespace

Result<void> Store::stage_manifest(const ManifestRecord& manifest) {
  return impl_->transact("staging a manifest", [&](soci::session& sql) -> Result<void> {
    long long published = 0;
    std::string digest;
    sql << "SELECT published, digest FROM manifests WHERE tenant_id = :t AND target = :n",
        soci::use(manifest.tenant_id), soci::use(manifest.target), soci::into(published),
        soci::into(digest);
    if (sql.got_data()) {
      if (digest == manifest.digest) {
        return {};
      }
      if (published != 0) {
        return Error{Error::Code::kAlreadyExists,
                     manifest.target + " is published with other content (" + digest +
                         "): a version never changes, push a new one"};
      }
      sql << "DELETE FROM manifests WHERE tenant_id = :t AND target = :n",
          soci::use(manifest.tenant_id), soci::use(manifest.target);
    }
    const long long length = manifest.length;
    const long long counter = manifest.release_counter;
    const long long size = manifest.size_bytes;
    const long long at = manifest.at_ms;
    sql << "INSERT INTO manifests (tenant_id, target, digest, length, release_counter, published, "
           "content, variants, size_bytes, at_ms) "
           "VALUES (:t, :n, :d, :l, :r, 0, :c, :v, :s, :a)",
        soci::use(manifest.tenant_id), soci::use(manifest.target), soci::use(manifest.digest),
        soci::use(length), soci::use(counter), soci::use(manifest.content),
        soci::use(manifest.variants), soci::use(size), soci::use(at);
    return {};
  });
}

Result<std::optional<ManifestRecord>> Store::find_manifest(const std::string& tenant,
                                                           const std::string& target) {
  using Found = std::optional<ManifestRecord>;
  return impl_->read("reading a manifest", [&](soci::session& sql) -> Result<Found> {
    const soci::rowset<soci::row> rows =
        (sql.prepare << std::string{kManifestColumns} + "WHERE tenant_id = :t AND target = :n",
         soci::use(tenant),
         soci::use(target));
    for (const auto& row : rows) {
      return Found{read_manifest(row)};
    }
    return Found{};
  });
}

Result<std::vector<ManifestRecord>> Store::manifests(const std::string& tenant) {
  using Found = std::vector<ManifestRecord>;
  return impl_->read("listing manifests", [&](soci::session& sql) -> Result<Found> {
    const soci::rowset<soci::row> rows =
        (sql.prepare << std::string{kManifestColumns} + "WHERE tenant_id = :t ORDER BY target",
         soci::use(tenant));
    Found found;
    for (const auto& row : rows) {
      found.push_back(read_manifest(row));
    }
    return found;
  });
}

Result<std::vector<MetadataRecord>> Store::current_metadata(const std::string& tenant,
                                                            const std::string& repository) {
  using Found = std::vector<MetadataRecord>;
  return impl_->read("reading trust metadata", [&](soci::session& sql) -> Result<Found> {
    const soci::rowset<soci::row> rows =
        (sql.prepare << std::string{kMetadataColumns} +
                            "m WHERE tenant_id = :t AND repository = :r AND (role = 'root' OR "
                            "version = (SELECT MAX(version) FROM trust_metadata o WHERE "
                            "o.tenant_id = m.tenant_id AND o.repository = m.repository AND "
                            "o.role = m.role)) ORDER BY role, version",
         soci::use(tenant),
         soci::use(repository));
    Found found;
    for (const auto& row : rows) {
      found.push_back(read_metadata(row));
    }
    return found;
  });
}

Result<std::optional<MetadataRecord>> Store::find_metadata(const std::string& tenant,
                                                           const std::string& repository,
                                                           const std::string& name) {
  using Found = std::optional<MetadataRecord>;
  return impl_->read("reading trust metadata", [&](soci::session& sql) -> Result<Found> {
    const soci::rowset<soci::row> rows =
        (sql.prepare << std::string{kMetadataColumns} +
                            "WHERE tenant_id = :t AND repository = :r AND name = :n",
         soci::use(tenant),
         soci::use(repository),
         soci::use(name));
    for (const auto& row : rows) {
      return Found{read_metadata(row)};
    }
    return Found{};
  });
}

Result<void> Store::publish_metadata(const std::string& tenant,
                                     const std::vector<MetadataRecord>& files,
                                     const std::vector<std::string>& published,
                                     std::int64_t now_ms) {
  return impl_->transact("publishing trust metadata", [&](soci::session& sql) -> Result<void> {
    const long long now = now_ms;
    for (const auto& file : files) {
      const long long version = file.version;
      sql << "DELETE FROM trust_metadata WHERE tenant_id = :t AND repository = :r AND name = :n",
          soci::use(tenant), soci::use(file.repository), soci::use(file.name);
      sql << "INSERT INTO trust_metadata (tenant_id, repository, name, role, version, content, "
             "at_ms) VALUES (:t, :r, :n, :o, :v, :c, :a)",
          soci::use(tenant), soci::use(file.repository), soci::use(file.name), soci::use(file.role),
          soci::use(version), soci::use(file.content), soci::use(now);
    }
    for (const auto& target : published) {
      sql << "UPDATE manifests SET published = 1 WHERE tenant_id = :t AND target = :n",
          soci::use(tenant), soci::use(target);
    }
    return {};
  });
}

}  // namespace skerry::controller
