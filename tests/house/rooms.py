# Rooms that have grown past the sizes of the style: listed for a person to judge, never failed.
import os

HEADER_MAX, SOURCE_MAX, ROOM_MAX, FOLDER_MAX, COLUMNS_MAX = 200, 450, 600, 12, 100


def listing(tree):
    """Yields one line for each file, room or folder past its size."""
    rooms, folders = {}, {}
    for source in tree.sources((".h", ".cc")):
        size = len(source.lines)
        limit = HEADER_MAX if source.ending == ".h" else SOURCE_MAX
        if size > limit:
            yield f"{source.path}: {size} lines, past {limit}"
        room = os.path.splitext(source.path)[0]
        rooms[room] = rooms.get(room, 0) + size
        folders.setdefault(source.folder, set()).add(room)
        for number, line in enumerate(source.lines, 1):
            if len(line) > COLUMNS_MAX:
                yield f"{source.path}:{number}: {len(line)} columns, past {COLUMNS_MAX}"
    for room, size in sorted(rooms.items()):
        if size > ROOM_MAX:
            yield f"{room}: a room of {size} lines, past {ROOM_MAX}"
    for folder, held in sorted(folders.items()):
        if len(held) > FOLDER_MAX:
            yield f"{folder}: {len(held)} rooms, past {FOLDER_MAX}"
