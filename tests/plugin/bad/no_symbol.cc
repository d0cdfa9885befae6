// A shared object that is no plugin.
extern "C" int somethingElse(void);
extern "C" int somethingElse(void) {
  return 1;
}
