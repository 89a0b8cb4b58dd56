"""Hold the extensions, which know of no app until `create_app` gives them one."""

from flask_sqlalchemy import SQLAlchemy

from flask_download_btn import DownloadBtnManager

db = SQLAlchemy()
manager = DownloadBtnManager(db=db)
